//go:build linux

package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hustings/internal/ogg"
	"hustings/internal/opus"
)

const (
	sampleRate = 48000
	bitrate    = 48000
	frame      = 20 * time.Millisecond
	// blockPackets make half a second, the unit in which Hustings sends.
	blockPackets = 25
	block        = blockPackets * frame
	trackLength  = 15 * time.Minute // longer than any measurement
)

// conversation is what is said everywhere: the voices of the demo, together.
var voices = []string{"host", "councillor", "caller"}

// readConversation returns the conversation of the demo as mono samples.
func readConversation() ([]float32, error) {
	var sum []float32
	for _, voice := range voices {
		pcm, err := decodeFile("../internal/node/demo/" + voice + ".ogg")
		if err != nil {
			return nil, err
		}
		if len(pcm) > len(sum) {
			sum = append(sum, make([]float32, len(pcm)-len(sum))...)
		}
		for i, x := range pcm {
			sum[i] += x
		}
	}
	return sum[:len(sum)/opus.FrameSamples*opus.FrameSamples], nil
}

func decodeFile(name string) ([]float32, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder, err := opus.NewDecoder(1)
	if err != nil {
		return nil, err
	}
	reader := ogg.NewReader(file)
	var all []float32
	pcm := make([]float32, opus.MaxSamples)
	for {
		packet, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		n, err := decoder.Decode(packet.Data, pcm)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, pcm[:n]...)
	}
}

// encode encodes as a stage encodes its best rung.
func encode(pcm []float32) ([][]byte, error) {
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: bitrate, Complexity: opus.BestComplexity})
	if err != nil {
		return nil, err
	}
	var packets [][]byte
	out := make([]byte, opus.MaxBytes)
	for ; len(pcm) >= opus.FrameSamples; pcm = pcm[opus.FrameSamples:] {
		n, err := encoder.Encode(pcm[:opus.FrameSamples], out)
		if err != nil {
			return nil, err
		}
		packets = append(packets, append([]byte(nil), out[:n]...))
	}
	return packets, nil
}

// track is the conversation as an Ogg Opus stream, over and over, in pages of the
// same length of time.
type track struct {
	page time.Duration
	data []byte
	ends []int // of each page in data; ends[0] is the end of the header pages
}

func newTrack(packets [][]byte, page time.Duration) (*track, error) {
	t := &track{page: page, data: ogg.AppendHeaders(nil, 1, 1, 0, "bench")}
	t.ends = []int{len(t.data)}
	perPage := int(page / frame)
	body := make([][]byte, 0, perPage)
	next, granule := 0, int64(0)
	for sequence := uint32(2); time.Duration(len(t.ends)-1)*page < trackLength; sequence++ {
		body = body[:0]
		for range perPage {
			body = append(body, packets[next%len(packets)])
			next++
		}
		if !ogg.Fits(body) {
			return nil, fmt.Errorf("%v of sound do not fit into one page", page)
		}
		granule += int64(perPage * opus.FrameSamples)
		t.data = ogg.AppendPage(t.data, ogg.Page{Granule: granule, Serial: 1, Sequence: sequence, Packets: body})
		t.ends = append(t.ends, len(t.data))
	}
	return t, nil
}

func (t *track) head() []byte { return t.data[:t.ends[0]] }

// pages returns the bytes of the pages [from, to).
func (t *track) pages(from, to int) []byte { return t.data[t.ends[from]:t.ends[to]] }

func (t *track) write(name string) error { return os.WriteFile(name, t.data, 0o644) }

// readTrack reads what write wrote.
func readTrack(name string, page time.Duration) (*track, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t := &track{page: page, data: data}
	for at, n := 0, 0; at < len(data); n++ {
		header, whole := oggHeader(data[at:])
		if !whole {
			return nil, fmt.Errorf("%s: cut off at %d", name, at)
		}
		at += header.size + header.body
		if n > 0 { // the first two are the header pages
			t.ends = append(t.ends, at)
		}
	}
	return t, nil
}

// oggPage is what the header of a page tells (RFC 3533, section 6).
type oggPage struct {
	size, body int // bytes
	packets    int // that end on it
	granule    int64
}

// oggHeader reads a page's header; whole is false if data ends before it does.
func oggHeader(data []byte) (page oggPage, whole bool) {
	const fixed = 27
	if len(data) < fixed || len(data) < fixed+int(data[fixed-1]) {
		return oggPage{}, false
	}
	page.size = fixed + int(data[fixed-1])
	page.granule = int64(binary.LittleEndian.Uint64(data[6:]))
	for _, lacing := range data[fixed:page.size] {
		page.body += int(lacing)
		if lacing < 255 {
			page.packets++
		}
	}
	return page, true
}
