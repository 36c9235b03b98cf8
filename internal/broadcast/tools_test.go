package broadcast_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/ogg"
	"hustings/internal/opus"
	"hustings/internal/programme"
)

// tone returns Opus packets of a tone, as an encoder of another make writes them.
func tone(t *testing.T) [][]byte {
	t.Helper()
	return encoded(t, 1, "48k")
}

func encoded(t *testing.T, channels int, rate string) [][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tone.opus")
	tool(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=30:sample_rate=48000", "-ac", strconv.Itoa(channels), "-c:a", "libopus", "-b:a", rate, file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	r := ogg.NewReader(bytes.NewReader(data))
	for {
		p, err := r.Next()
		if err != nil {
			break
		}
		packets = append(packets, bytes.Clone(p.Data))
	}
	if len(packets) < 50*programme.PacketsPerBlock {
		t.Fatalf("%d packets of a tone", len(packets))
	}
	return packets
}

// ladder is a tone in all rungs, the top one stereo.
type ladder [programme.Rungs][][]byte

func newLadder(t *testing.T) (l ladder) {
	for i, rate := range []string{"96k", "24k", "16k"} {
		channels := 1
		if i == 0 {
			channels = 2
		}
		l[i] = encoded(t, channels, rate)
	}
	return l
}

// fill gives a block its sound.
func (l *ladder) fill(b *programme.Block) {
	b.Stereo = true
	for r := range b.Rungs {
		b.Rungs[r] = l[r][b.Seq*programme.PacketsPerBlock:][:programme.PacketsPerBlock]
	}
}

// tool runs a tool and returns all that it printed.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serve serves the fixture's town hall over HTTP, as the web room does.
func serve(t *testing.T, f *fixture) (url string) {
	t.Helper()
	server := httptest.NewServer(handler(t, f))
	t.Cleanup(server.Close)
	return server.URL
}

func handler(t *testing.T, f *fixture) http.Handler {
	t.Helper()
	const head = "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: "
	take := func(w http.ResponseWriter, mime string, format broadcast.Format) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		err = f.Attach(broadcast.Listener{Space: town, Format: format, Conn: conn, Head: []byte(head + mime + "\r\n\r\n")})
		if err != nil {
			t.Error(err)
			conn.Close()
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live.ogg", func(w http.ResponseWriter, _ *http.Request) { take(w, "audio/ogg", broadcast.Ogg) })
	mux.HandleFunc("GET /live.mp4", func(w http.ResponseWriter, _ *http.Request) { take(w, "audio/mp4", broadcast.MP4) })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, playerPage)
	})
	return mux
}

// play is one programme as other players hear it.
type play struct {
	name   string
	hole   int64 // samples before block 45, where a new epoch begins
	format broadcast.Format
	rungs  bool // it is moved down the ladder and up again
}

// TestOtherPlayersAgree: ffmpeg plays both streams, joined in the middle, without
// a word and to the sample; opusinfo finds only that the page numbers jump.
func TestOtherPlayersAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffmpeg and opusinfo")
	}
	var packets ladder // one in all rungs, or a stereo one
	mono, stereo := tone(t), newLadder(t)
	const hole = 100 * programme.PacketSamples
	for _, p := range []play{
		{"ogg", 0, broadcast.Ogg, false},
		{"mp4", 0, broadcast.MP4, false},
		{"ogg over a hole", hole, broadcast.Ogg, false},
		{"mp4 over a hole", hole, broadcast.MP4, false},
		{"ogg over changes of rung", 0, broadcast.Ogg, true},
		{"mp4 over changes of rung", 0, broadcast.MP4, true},
	} {
		t.Run(p.name, func(t *testing.T) {
			for r := range packets {
				packets[r] = mono
			}
			if p.rungs {
				packets = stereo
			}
			capture, said := p.run(t, packets)
			if said = withoutTheEnd(said); said != "" {
				t.Errorf("ffmpeg says of the stream:\n%s", said)
			}
			pcm := filepath.Join(t.TempDir(), "out.pcm")
			if said := tool(t, "ffmpeg", "-v", "warning", "-i", capture, "-f", "s16le", "-ac", "1", pcm); said != "" {
				t.Errorf("ffmpeg says of the capture:\n%s", said)
			}
			const heard = 16*programme.BlockSamples - opus.PreSkip // 6 of backlog and 10 more
			if info, err := os.Stat(pcm); err != nil || info.Size() != 2*heard {
				t.Errorf("ffmpeg heard %d samples, %v; want %d", info.Size()/2, err, heard)
			}
			if p.format == broadcast.Ogg && p.hole == 0 {
				checkOpusinfo(t, capture)
			}
		})
	}
}

// run broadcasts the programme to ffmpeg and to a capture. It returns the file of
// the capture and what ffmpeg said.
func (p play) run(t *testing.T, packets ladder) (capture, said string) {
	t.Helper()
	f := startTCP(t, broadcast.Options{})
	say := func(seq uint64) {
		b := block(seq)
		if seq >= 45 && p.hole > 0 {
			b.Epoch, b.Start = 2, b.Start+p.hole
		}
		packets.fill(b)
		b.Stereo = p.rungs
		b.Final = seq == 49
		f.say(b)
		if p.rungs && seq >= 40 {
			f.SetRung([]int{0, 1, 2, 2, 1, 0}[(seq-40)%6])
			sent := f.figure("deliveries_total") + 2
			until(t, "both have the block at this rung", func() bool { return f.figure("deliveries_total") >= sent || b.Final })
		}
	}
	for seq := range uint64(40) {
		say(seq)
	}
	url := serve(t, f) + "/live." + string(p.format)
	told, body := make(chan string, 1), make(chan []byte, 1)
	go func() { told <- tool(t, "ffmpeg", "-v", "warning", "-i", url, "-f", "null", "-") }()
	go func() { body <- fetch(t, url) }()
	until(t, "both have joined", func() bool { return f.Tally(town).Total == 2 })
	for seq := uint64(40); seq < 50; seq++ {
		say(seq)
	}
	capture = filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(capture, within(t, body, "the capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	return capture, within(t, told, "ffmpeg")
}

func fetch(t *testing.T, url string) []byte {
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the body did not end in good order: %v", err)
	}
	return data
}

// withoutTheEnd takes out what ffmpeg says whenever a body ends by closing, as
// HTTP has it for one of unknown length: its http.c expects 2^64-1 bytes then.
func withoutTheEnd(said string) string {
	var rest strings.Builder
	for line := range strings.Lines(said) {
		switch {
		case strings.Contains(line, "should be 18446744073709551615"):
		case strings.Contains(line, "Last message repeated"):
		case strings.HasSuffix(strings.TrimSpace(line), ": Input/output error"):
		default:
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// checkOpusinfo wants a capture to be free of faults but for the one jump.
func checkOpusinfo(t *testing.T, capture string) {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), "opusinfo", capture).CombinedOutput() // 1 for any warning
	said := string(out)
	if !strings.Contains(said, "Logical stream 1 ended") {
		t.Errorf("opusinfo says:\n%s", said)
	}
	for line := range strings.Lines(said) {
		jump := strings.Contains(line, "normal for live streams") || strings.Contains(line, "discontinuity in stream")
		if strings.Contains(line, "WARNING") && !jump {
			t.Errorf("opusinfo says: %s", line)
		}
	}
}
