package fmp4_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hustings/internal/fmp4"
)

// aacFrames returns AAC frames of three seconds of a tone, by ffmpeg.
func aacFrames(t *testing.T, channels string) [][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tone.adts")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=3:sample_rate=48000", "-ac", channels, "-c:a", "aac", "-f", "adts", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for len(data) > 7 {
		size := int(data[3]&3)<<11 | int(data[4])<<3 | int(data[5])>>5
		out = append(out, data[7:size])
		data = data[size:]
	}
	return out
}

// TestAACPlays: ffmpeg plays AAC in our fragments without a word, and sees the track
// as it was described.
func TestAACPlays(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffmpeg")
	}
	for channels, config := range map[string]string{"1": "\x11\x88", "2": "\x11\x90"} {
		track := fmp4.Track{Channels: int(channels[0] - '0'), PacketSamples: 1024, AAC: config}
		out := fmp4.AppendInit(nil, track)
		frames := aacFrames(t, channels)
		for n := 0; n < len(frames); n += 24 {
			out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(n), Time: uint64(n) * 1024, Packets: frames[n:min(n+24, len(frames))]})
		}
		checkPlays(t, out, 1024*len(frames), "aac,48000,"+channels)
		parts, _ := readAll(fmp4.NewReader(bytes.NewReader(out)))
		if diff := cmp.Diff(&track, parts[0].Init); diff != "" {
			t.Errorf("the track (-written +read)\n%s", diff)
		}
		if got := parts[1].Fragment; got == nil || len(got.Packets) != 24 || !bytes.Equal(got.Packets[23], frames[23]) {
			t.Error("the first fragment is not what was written")
		}
	}
}

func TestBrokenAACIsRefused(t *testing.T) {
	good := string(fmp4.AppendInit(nil, fmp4.Track{Channels: 1, PacketSamples: 1024, AAC: "\x11\x88"}))
	for name, change := range map[string][2]string{
		"no esds":                 {"esds", "xxxx"},
		"another descriptor":      {"\x05\x02\x11\x88", "\x06\x02\x11\x88"},
		"a size beyond the box":   {"\x05\x02\x11\x88", "\x05\x7f\x11\x88"},
		"a size in several bytes": {"\x05\x02\x11\x88", "\x05\x82\x11\x88"},
		"an empty description":    {"\x05\x02\x11\x88", "\x05\x00\x11\x88"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if _, err := fmp4.NewReader(strings.NewReader(bad)).Next(); bad == good || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
