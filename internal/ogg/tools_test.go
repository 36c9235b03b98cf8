package ogg_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hustings/internal/ogg"
)

// TestOtherToolsAgree: a stream that ffmpeg wrote is read without a gap, and
// written anew by this package it satisfies ffmpeg and opusinfo.
func TestOtherToolsAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffmpeg and opusinfo")
	}
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs.opus"), filepath.Join(dir, "ours.opus")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=3:sample_rate=48000", "-c:a", "libopus", "-b:a", "48k", theirs)
	data, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	out := ogg.AppendHeaders(nil, serial, 1, 312, "hustings", "TITLE=a tone")
	packets := read(t, data)
	var batch [][]byte
	sequence, granule := uint32(2), int64(0)
	for i, p := range packets {
		if p.Gap {
			t.Fatalf("a gap before packet %d of a whole file", i)
		}
		batch = append(batch, []byte(p.Data))
		granule += 960
		last := i == len(packets)-1
		if len(batch) < 25 && !last {
			continue
		}
		flags := byte(0)
		if last {
			flags = ogg.Last
		}
		out = ogg.AppendPage(out, ogg.Page{Flags: flags, Serial: serial, Sequence: sequence, Granule: granule, Packets: batch})
		sequence++
		batch = nil
	}
	if len(packets) < 150 {
		t.Fatalf("%d packets in 3 s, want at least 150", len(packets))
	}
	if err := os.WriteFile(ours, out, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := run(t, "ffmpeg", "-v", "warning", "-i", ours, "-f", "null", "-"); said != "" {
		t.Errorf("ffmpeg says:\n%s", said)
	}
	if said := run(t, "opusinfo", ours); strings.Contains(said, "WARNING") {
		t.Errorf("opusinfo says:\n%s", said)
	}
}

// run runs a tool and returns all that it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &out)
	}
	return out.String()
}
