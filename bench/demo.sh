#!/usr/bin/env bash
# Indexes a repository into .demo and asks it three questions that fit any repository.
set -euo pipefail

repository=${1:-.}
search=(.venv/bin/govc-search --data .demo)

heading() { printf '\n== %s\n' "$1"; }
# Prints the query as one would type it, then its answer.
ask() {
  local query=$1
  shift
  printf '%s\n\n' "$query"
  "${search[@]}" query "$query" "$@"
}
value() { "${search[@]}" query -q -F tsv "$@" | tail -n +2; }
# The most frequent of the words on standard input that match a pattern, else the second argument.
commonest() {
  { grep -oE "$1" || true; } | sort | uniq -c | sort -k1,1nr -k2 | awk '!n++ {print $2}' | grep . || echo "$2"
}

heading "Index $repository"
rm -rf .demo
# 7: done, but for commits of which something is missing; they were named.
"${search[@]}" index "$repository" || { status=$?; ((status == 7)) || exit "$status"; }

word=$(value "SELECT subject FROM commits WHERE NOT is_merge ORDER BY position DESC LIMIT 2000" |
  tr '[:upper:]' '[:lower:]' | commonest '[a-z]{5,}' fix)
heading "A ranked search: which commits are about \"$word\"?"
ask "SELECT round(SCORE(), 2) AS score, short_hash, author, HIGHLIGHT(subject, '[', ']') AS subject
FROM commits WHERE SEARCH('$word')
ORDER BY SCORE() DESC LIMIT 8"

heading "An aggregation: who wrote most of it, and when?"
ask "SELECT author, count(*) AS commits, sum(insertions) AS added, sum(deletions) AS removed,
  min(author_date) AS first, max(author_date) AS last
FROM commits GROUP BY author ORDER BY commits DESC, author LIMIT 8"

newest=$(value "SELECT coalesce(max(position), 0) FROM commits")
needle=$(value "SELECT text FROM lines WHERE sign = 1 AND position > $((newest - 1000))" |
  commonest '[A-Za-z_][A-Za-z0-9_]{7,}' README)
heading "A question of history: which commits first brought \"$needle\" in, or moved it about?"
ask "SELECT short_hash, author, author_date, subject, ADDED('$needle') AS added
FROM commits WHERE PICKAXE('$needle')
ORDER BY author_date LIMIT 8"

printf '\nAsk more: %s query "SELECT ..."\n' "${search[*]}"
