#!/bin/sh
# make.sh speaks conversation.txt: one Ogg Opus file a voice, all of the same
# length, each silent while the others speak. Played together they are the
# conversation.
#
# It needs flite, sox and opusenc (Debian: flite, sox, opus-tools). The files
# are kept in the repository, so this runs only after the words have changed:
#
#     sh internal/node/demo/make.sh
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tail_ms=1500 # the breath before the conversation begins again
packet_ms=20 # the length is a whole number of Opus packets, so that it loops

# speak VOICE OUT TEXT: each person has a microphone of their own. The host has
# a studio's, the councillor sits a little off it, the caller is on a telephone.
speak() {
	case $1 in
	host)
		flite -voice slt --setf duration_stretch=1.04 -t "$3" -o "$work/raw.wav"
		set -- "$1" "$2" bass +3 110 treble -1 6000 norm -9 ;;
	councillor)
		flite -voice awb --setf duration_stretch=1.02 -t "$3" -o "$work/raw.wav"
		set -- "$1" "$2" bass +2 120 norm -4 ;;
	caller)
		flite -voice rms --setf duration_stretch=0.95 -t "$3" -o "$work/raw.wav"
		set -- "$1" "$2" pitch 120 highpass 250 lowpass 3600 norm -4 ;;
	esac
	out=$2
	shift 2
	sox -D "$work/raw.wav" -r 48000 -c 1 -b 16 "$out" silence 1 0.01 0.2% reverse silence 1 0.01 0.2% reverse "$@" \
		fade t 0.005 reverse fade t 0.02 reverse
}

# First the turns, and the sample at which each begins.
at=0
n=0
: >"$work/plan"
grep -v '^#' conversation.txt | while read -r voice gap text; do
	n=$((n + 1))
	speak "$voice" "$work/$n.wav" "$text"
	at=$((at + gap * 48))
	echo "$voice $at $work/$n.wav" >>"$work/plan"
	at=$((at + $(soxi -s "$work/$n.wav")))
	echo "$at" >"$work/end"
done
samples=$(($(cat "$work/end") + tail_ms * 48))
packet=$((packet_ms * 48))
samples=$(((samples + packet - 1) / packet * packet))

# Then a track for each voice: its turns, delayed to where they belong.
serial=1
for voice in host councillor caller; do
	set --
	turns=0
	while read -r who start file; do
		[ "$who" = "$voice" ] || continue
		turns=$((turns + 1))
		sox -D "$file" "$work/$voice-$turns.wav" pad "${start}s" 0
		set -- "$@" -v 1 "$work/$voice-$turns.wav"
	done <"$work/plan"
	sox -D -m "$@" "$work/mix.wav"
	sox -D "$work/mix.wav" "$work/$voice.wav" pad 0 "$((samples - $(soxi -s "$work/mix.wav")))s"
	opusenc --quiet --speech --vbr --bitrate 24 --framesize "$packet_ms" --serial "$serial" \
		--discard-comments --comment "TITLE=The Riverside Hour: $voice" "$work/$voice.wav" "$voice.ogg"
	serial=$((serial + 1))
done
ls -l ./*.ogg
