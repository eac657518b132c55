#!/bin/bash
# Prints what happened in one run of the simulated AP as a table for people.
#
#   report.sh OUTDIR      (the folder that run.sh filled)
set -euo pipefail
[ $# = 1 ] || { echo "usage: report.sh OUTDIR" >&2; exit 2; }
cd "$1/guest"

bold='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

echo
echo "$bold$(cat title.txt)$plain"
echo
{
    printf 'DEVICE\tMAC\tKEY IT PROVED\tOUTCOME\tVLAN\tBRIDGE\tWHY\n'
    cat devices.tsv
} | awk -F '\t' -v bold="$bold" -v red="$red" -v green="$green" -v plain="$plain" '
    # The outcome has a column of its own.
    { sub(/^(let in|refused): /, "", $7) }
    { for (i = 1; i <= NF; i++) { cell[NR, i] = $i == "" ? "-" : $i; if (length(cell[NR, i]) > width[i]) width[i] = length(cell[NR, i]) } }
    END {
        for (row = 1; row <= NR; row++) {
            line = ""
            for (i = 1; i <= 7; i++) line = line sprintf(i < 7 ? "%-" width[i] + 2 "s" : "%s", cell[row, i])
            colour = row == 1 ? bold : cell[row, 4] == "joined" ? green : red
            print colour line plain
        }
    }'

echo
echo "${bold}Who reaches whom${plain}  (b: its broadcasts arrive, u: unicast and its reply; -: nothing arrives)"
echo
awk -F '\t' -v bold="$bold" -v plain="$plain" '
    $1 ~ /^(broadcast|unicast) / {
        split($1, word, " ")
        if (!(word[2] in known)) { known[word[2]] = 1; member[++members] = word[2] }
        if ($3 != "no") seen[word[2], word[4]] = (word[1] == "broadcast" ? "b" : seen[word[2], word[4]] "u")
    }
    END {
        line = sprintf("%-16s", "from \\ to")
        for (i = 1; i <= members; i++) line = line sprintf("%-10s", member[i])
        print bold line plain
        for (i = 1; i <= members; i++) {
            line = sprintf("%-16s", member[i])
            for (j = 1; j <= members; j++) line = line sprintf("%-10s", i == j ? "." : seen[member[i], member[j]] == "" ? "-" : seen[member[i], member[j]])
            print line
        }
    }' results.tsv
echo
awk -F '\t' -v red="$red" -v green="$green" -v plain="$plain" '
    $1 == "complete" { next }
    { rows++ }
    $4 != "pass" { print red "FAIL  " $1 ": expected " $2 ", got " $3 plain; failed++ }
    END { print (failed ? red failed " of " rows " expectations were not met" : green "all " rows " expectations met") plain }' results.tsv
