package reel_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/opus"
	"hustings/internal/reel"
)

// memFile is a file in memory, on a disk that may be full.
type memFile struct {
	data   []byte
	full   bool
	room   int // bytes that still fit when it is full
	synced int // bytes that are on the disk
	closed bool
}

// WriteAt writes what fits, as a disk does that runs full.
func (f *memFile) WriteAt(p []byte, at int64) (n int, err error) {
	if f.full && len(p) > f.room {
		p, err = p[:f.room], &os.PathError{Op: "write", Path: "test", Err: syscall.ENOSPC}
	}
	f.room -= len(p)
	if need := int(at) + len(p); need > len(f.data) {
		f.data = append(f.data, make([]byte, need-len(f.data))...)
	}
	return copy(f.data[at:], p), err
}

func (f *memFile) Truncate(size int64) error { f.data = f.data[:size]; return nil }
func (f *memFile) Sync() error               { f.synced = len(f.data); return nil }
func (f *memFile) Close() error              { f.closed = true; return nil }

// add is packets to be added, and where.
type add struct {
	packets [][]byte
	start   int64
}

// tone returns half a second of a tone.
func tone(t *testing.T) (packets [][]byte) {
	t.Helper()
	enc, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: 48000})
	if err != nil {
		t.Fatal(err)
	}
	pcm, out := make([]float32, opus.FrameSamples), make([]byte, opus.MaxBytes)
	for range 25 {
		for i := range pcm {
			pcm[i] = 0.3 * float32(i%96-48) / 48 // 500 Hz
		}
		n, err := enc.Encode(pcm, out)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, bytes.Clone(out[:n]))
	}
	return packets
}

// want is what both files must hold of adds.
func want(adds []add, stereo bool) (packets [][]byte) {
	channels := 1
	if stereo {
		channels = 2
	}
	for _, a := range adds {
		for int64(len(packets))*960 < a.start {
			packets = append(packets, opus.Silence(channels))
		}
		packets = append(packets, a.packets...)
	}
	return packets
}

// record adds all to a new reel and completes it.
func record(t rapid.TB, stereo bool, adds ...add) (oggFile, mp4File *memFile) {
	t.Helper()
	oggFile, mp4File = new(memFile), new(memFile)
	r, err := reel.New(reel.Options{Ogg: oggFile, MP4: mp4File, Name: "town-hall", Stereo: stereo})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range adds {
		if err := r.Add(a.packets, a.start); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return oggFile, mp4File
}

// checkOgg wants the packets in the file, each page to say where it ends, and the
// stream to end.
func checkOgg(t *testing.T, data []byte, stereo, finished bool, packets [][]byte) {
	t.Helper()
	r := ogg.NewReader(bytes.NewReader(data))
	head, err := r.Head()
	if err != nil || (head.Channels == 2) != stereo || head.PreSkip != opus.PreSkip {
		t.Fatalf("the head is %+v, %v", head, err)
	}
	for i, want := range packets {
		p, err := r.Next()
		if err != nil || p.Gap || !bytes.Equal(p.Data, want) {
			t.Fatalf("packet %d of %d is % x, want % x; gap %v, %v", i, len(packets), p.Data, want, p.Gap, err)
		}
		if end := int64(i+1) * 960; p.Granule != ogg.NoGranule && p.Granule != end {
			t.Errorf("packet %d ends at %d, want %d", i, p.Granule, end)
		}
		if last := finished && i == len(packets)-1; p.Last != last {
			t.Errorf("packet %d is the last one: %v, want %v", i, p.Last, last)
		}
	}
	if p, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last packet: % x, %v", p.Data, err)
	}
}

// checkMP4 wants the packets in the file, and the table that belongs to them.
func checkMP4(t *testing.T, data []byte, stereo bool, packets [][]byte) {
	t.Helper()
	track := fmp4.Track{Channels: 1, PreSkip: opus.PreSkip, PacketSamples: 960}
	if stereo {
		track.Channels = 2
	}
	file, headerAt := fmp4.AppendFileStart(nil)
	start, sizes := len(file), []uint32(nil)
	for _, p := range packets {
		file, sizes = append(file, p...), append(sizes, uint32(len(p)))
	}
	copy(file[headerAt:], fmp4.MediaHeader(int64(len(file)-start)))
	file = fmp4.AppendFileEnd(file, fmp4.File{Track: track, Offset: int64(start), Sizes: sizes})
	if !bytes.Equal(data, file) {
		t.Errorf("the MP4 file has %d bytes, and other ones than the %d that it should", len(data), len(file))
	}
}

func TestBothFilesHoldThePackets(t *testing.T) {
	sound := tone(t)
	for name, adds := range map[string][]add{
		"nothing":            nil,
		"no hole":            {{sound, 0}, {sound, 24000}, {sound[:3], 48000}},
		"from the middle on": {{sound, 60 * 48000}},
		"holes":              {{sound, 0}, {sound, 24960}, {sound, 24960 + 24000 + 77*960}},
	} {
		for _, stereo := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", stereo ", stereo), func(t *testing.T) {
				o, m := record(t, stereo, adds...)
				packets := want(adds, stereo)
				checkOgg(t, o.data, stereo, true, packets)
				checkMP4(t, m.data, stereo, packets)
			})
		}
	}
}

// Whatever runs full, wherever and as often as it does: the files are as if nothing
// had been, once there is room.
func TestFullDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packet := rapid.SliceOfN(rapid.Byte(), 1, 600)
		var adds []add
		var end int64
		for range rapid.IntRange(0, 6).Draw(t, "adds") {
			start := end + 960*rapid.Int64Range(0, 120).Draw(t, "hole")
			adds = append(adds, add{rapid.SliceOfN(packet, 1, 25).Draw(t, "packets"), start})
			end = start + int64(len(adds[len(adds)-1].packets))*960
		}
		wantOgg, wantMP4 := record(t, false, adds...)

		disks := []*memFile{{data: []byte("what was there before")}, {data: make([]byte, 5000)}}
		r, err := reel.New(reel.Options{Ogg: disks[0], MP4: disks[1], Name: "town-hall"})
		if err != nil {
			t.Fatal(err)
		}
		insist := func(do func() error) {
			for try := 0; ; try++ {
				for _, d := range disks {
					d.full = try < 5 && rapid.Bool().Draw(t, "full")
					d.room = rapid.IntRange(0, 5000).Draw(t, "room")
				}
				full := disks[0].full || disks[1].full
				if err := do(); err == nil {
					return
				} else if !full || !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
			}
		}
		for _, a := range adds {
			insist(func() error { return r.Add(a.packets, a.start) })
		}
		insist(r.Finish)
		if !bytes.Equal(disks[0].data, wantOgg.data) || !bytes.Equal(disks[1].data, wantMP4.data) {
			t.Fatal("the files are not those that a disk with room has")
		}
	})
}

// What could not be added is left out, to the last byte.
func TestGivenUp(t *testing.T) {
	sound := tone(t)
	withOgg, _ := record(t, false, add{sound, 0}, add{sound, 24000})
	lessOgg, lessMP4 := record(t, false, add{sound, 0})
	for full, want := range [][2]*memFile{{lessOgg, lessMP4}, {withOgg, lessMP4}} {
		disks := [2]*memFile{{}, {}}
		r, err := reel.New(reel.Options{Ogg: disks[0], MP4: disks[1], Name: "town-hall"})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Add(sound, 0); err != nil {
			t.Fatal(err)
		}
		disks[full].full, disks[full].room = true, 2000
		if err := r.Add(sound, 24000); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("on a full disk: %v", err)
		}
		disks[full].full = false
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		for i := range disks {
			if !bytes.Equal(disks[i].data, want[i].data) {
				t.Errorf("disk %d was full, and file %d has %d bytes; want %d", full, i, len(disks[i].data), len(want[i].data))
			}
		}
	}
}

func TestSilenceIsAPageASecond(t *testing.T) {
	oggFile, _ := record(t, false, add{tone(t), 60*48000 + 960})
	if pages := bytes.Count(oggFile.data, []byte("OggS")); pages != 2+60+1+1 {
		t.Errorf("%d pages, want two of headers, 60 of a second, one of 20 ms, and one of sound", pages)
	}
}

func TestNewOnAFullDisk(t *testing.T) {
	for _, o := range []reel.Options{
		{Ogg: &memFile{full: true}, MP4: new(memFile)},
		{Ogg: new(memFile), MP4: &memFile{full: true}},
	} {
		if _, err := reel.New(o); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
		if o.Ogg.(*memFile).closed || o.MP4.(*memFile).closed {
			t.Error("files that stay the caller's were closed")
		}
	}
}

func TestWhatCanNotFollowIsRefused(t *testing.T) {
	oggFile, mp4File := new(memFile), new(memFile)
	r, err := reel.New(reel.Options{Ogg: oggFile, MP4: mp4File})
	if err != nil {
		t.Fatal(err)
	}
	sound := tone(t)
	if err := r.Add(sound, 0); err != nil {
		t.Fatal(err)
	}
	for start, packets := range map[int64][][]byte{
		0: sound, 23040: sound, -960: sound, 24001: sound, // reel.ErrStart
		24000: nil, 24960: make([][]byte, 256), // reel.ErrPackets
	} {
		want := reel.ErrStart
		if start%960 == 0 && start >= 24000 {
			want = reel.ErrPackets
		}
		if err := r.Add(packets, start); !errors.Is(err, want) {
			t.Errorf("%d packets at %d: %v, want %v", len(packets), start, err, want)
		}
	}
	if err := r.Add(sound, 24000); err != nil {
		t.Errorf("what can follow was refused: %v", err)
	}
	checkOgg(t, oggFile.data, false, false, append(sound[:25:25], sound...)) // it plays before its end
}

func TestSyncAndClose(t *testing.T) {
	oggFile, mp4File := new(memFile), new(memFile)
	r, err := reel.New(reel.Options{Ogg: oggFile, MP4: mp4File})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Add(tone(t), 0), r.Sync(), r.Close()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*memFile{oggFile, mp4File} {
		if f.synced != len(f.data) || !f.closed {
			t.Errorf("%d of %d bytes are on the disk; closed: %v", f.synced, len(f.data), f.closed)
		}
	}
}

// tool runs a program and returns what it said.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// The usual tools find the packets in both files, where they were put.
func TestToolsFindThePackets(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ffmpeg and ffprobe")
	}
	sound := tone(t)
	adds := []add{{sound, 0}, {sound, 77 * 960}, {sound, 200 * 960}}
	oggFile, mp4File := record(t, false, adds...)
	packets := want(adds, false)
	for ext, f := range map[string]*memFile{"ogg": oggFile, "mp4": mp4File} {
		path := filepath.Join(t.TempDir(), "recording."+ext)
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if said := tool(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-"); said != "" {
			t.Errorf("ffmpeg says of %s:\n%s", path, said)
		}
		raw := tool(t, "ffmpeg", "-v", "error", "-i", path, "-map", "0", "-c", "copy", "-f", "data", "-")
		sizes := strings.Fields(tool(t, "ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "default=nw=1:nk=1", path))
		if len(sizes) != len(packets) || raw != string(bytes.Join(packets, nil)) {
			t.Errorf("%s has %d packets of %d bytes; want %d", ext, len(sizes), len(raw), len(packets))
			continue
		}
		for i, p := range packets {
			if sizes[i] != strconv.Itoa(len(p)) {
				t.Errorf("%s: packet %d has %s bytes, want %d", ext, i, sizes[i], len(p))
			}
		}
	}
}
