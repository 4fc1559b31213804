#!/usr/bin/env bash
# Usage: Scripts/package-records.sh DIR [COUNT]
#
# Writes the system's package records into DIR, as real input for the engine:
#   records.tsv  one record a line: "name version" TAB stanza, both with \\ \t \n \r escaped
#   source.txt   the same stanzas as the system has them, sorted by key, an empty line after each
#
# The records are those of `apt-cache dumpavail`, or of the dpkg status file where that is empty,
# in their order there. Of several records with the same key the last one counts, at its own place.
# With COUNT, only the first COUNT records are taken.
set -euo pipefail

if (($# < 1 || $# > 2)); then
    echo "usage: $0 DIR [COUNT]" >&2
    exit 1
fi
directory=$1
count=${2:-0}

apt-cache dumpavail >"$directory/packages.txt" 2>/dev/null || true
[[ -s $directory/packages.txt ]] || cp /var/lib/dpkg/status "$directory/packages.txt"

LC_ALL=C perl -e '
    use strict;
    use warnings;
    my ($directory, $count) = @ARGV;
    my %escaped = ("\\" => "\\\\", "\t" => "\\t", "\n" => "\\n", "\r" => "\\r");

    open my $packages, "<", "$directory/packages.txt" or die "error: packages.txt: $!\n";
    my (@stanzas, %last);
    local $/ = "";
    while (my $stanza = <$packages>) {
        $stanza =~ s/\n+\z/\n/;
        my ($name) = $stanza =~ /^Package: *(\S+)/m or next;
        my ($version) = $stanza =~ /^Version: *(\S+)/m or next;
        $last{"$name $version"} = @stanzas;
        push @stanzas, ["$name $version", $stanza];
    }
    my @records = grep { $last{ $stanzas[$_][0] } == $_ } 0 .. $#stanzas;
    splice @records, $count if $count && $count < @records;

    open my $tsv, ">", "$directory/records.tsv" or die "error: records.tsv: $!\n";
    for (@records) {
        my ($key, $value) = @{ $stanzas[$_] };
        s/([\\\t\n\r])/$escaped{$1}/g for $key, $value;
        print $tsv "$key\t$value\n";
    }
    close $tsv or die "error: records.tsv: $!\n";

    open my $source, ">", "$directory/source.txt" or die "error: source.txt: $!\n";
    print $source "$stanzas[$_][1]\n"
        for sort { $stanzas[$a][0] cmp $stanzas[$b][0] } @records;
    close $source or die "error: source.txt: $!\n";
' "$directory" "$count"

rm "$directory/packages.txt"
if [[ ! -s $directory/records.tsv ]]; then
    echo "error: neither apt-cache dumpavail nor /var/lib/dpkg/status has a package record" >&2
    exit 1
fi
