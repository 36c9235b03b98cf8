package fmp4_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
)

// packets returns Opus packets of three seconds of a tone.
func packets(t *testing.T, channels string) [][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tone.opus")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=3:sample_rate=48000", "-ac", channels, "-c:a", "libopus", "-b:a", "64k", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	r := ogg.NewReader(bytes.NewReader(data))
	for {
		p, err := r.Next()
		if err != nil {
			return out
		}
		out = append(out, bytes.Clone(p.Data))
	}
}

// run runs a tool and returns all that it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkPlays wants ffmpeg to play data without a word, as so many samples, and to
// see the track as it was described.
func checkPlays(t *testing.T, data []byte, samples int, described string) {
	t.Helper()
	dir := t.TempDir()
	file, pcm := filepath.Join(dir, "file.mp4"), filepath.Join(dir, "out.pcm")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := run(t, "ffmpeg", "-v", "warning", "-i", file, "-f", "s16le", "-ac", "1", pcm); said != "" {
		t.Errorf("ffmpeg says:\n%s", said)
	}
	info, err := os.Stat(pcm)
	if err != nil {
		t.Fatal(err)
	}
	if got := int(info.Size() / 2); got != samples {
		t.Errorf("ffmpeg heard %d samples, want %d", got, samples)
	}
	said := run(t, "ffprobe", "-v", "warning", "-of", "csv=p=0", "-show_entries", "stream=codec_name,sample_rate,channels", file)
	if strings.TrimSpace(said) != described {
		t.Errorf("ffprobe says %q, want %q", said, described)
	}
}

func TestFFmpegPlaysAStreamAndAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffmpeg")
	}
	for _, channels := range []string{"1", "2"} {
		all := packets(t, channels)
		track := fmp4.Track{Channels: 1, PreSkip: 312, PacketSamples: 960}
		if channels == "2" {
			track.Channels = 2
		}
		samples := len(all)*960 - track.PreSkip
		t.Run("stream of "+channels, func(t *testing.T) { checkPlays(t, stream48(track, all), samples, "opus,48000,"+channels) })
		t.Run("file of "+channels, func(t *testing.T) { checkPlays(t, file(track, all), samples, "opus,48000,"+channels) })
	}
}

// stream48 returns a live stream that was joined in the middle.
func stream48(track fmp4.Track, packets [][]byte) []byte {
	out := fmp4.AppendInit(nil, track)
	const start = 480_000_000 // ten thousand seconds: beyond 32 bits within a day
	for i := 0; i < len(packets); i += 25 {
		at := uint64(start + i*960)
		out = fmp4.AppendEvent(out, fmp4.Event{Scheme: "urn:test", Value: "v", Time: at, ID: uint32(i), Data: []byte("{}")})
		out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(1000 + i), Time: at, Packets: packets[i:min(i+25, len(packets))]})
	}
	return out
}

// file returns a progressive file, written as the archive does: the header of the
// media data is patched at the end.
func file(track fmp4.Track, packets [][]byte) []byte {
	out, headerAt := fmp4.AppendFileStart(nil)
	f := fmp4.File{Track: track, Offset: int64(len(out)), ChunkPackets: 25}
	for _, p := range packets {
		out = append(out, p...)
		f.Sizes = append(f.Sizes, uint32(len(p)))
	}
	copy(out[headerAt:], fmp4.MediaHeader(int64(len(out))-f.Offset))
	return fmp4.AppendFileEnd(out, f)
}

// TestAFileWithoutPackets: a recording that was ended at once is still a file.
func TestAFileWithoutPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffprobe")
	}
	name := filepath.Join(t.TempDir(), "empty.mp4")
	if err := os.WriteFile(name, file(track, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	said := run(t, "ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", "stream=codec_name", name)
	if strings.TrimSpace(said) != "opus" {
		t.Errorf("ffprobe says %q", said)
	}
}
