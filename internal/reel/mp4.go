package reel

import (
	"hustings/internal/fmp4"
	"hustings/internal/opus"
)

// mp4File writes packets as a progressive MP4: one after the other as they come, and
// at the end the table that says where they are.
type mp4File struct {
	f        File
	start    int64 // of the first packet
	headerAt int64 // of the size of the media data
	size     int64 // of the whole packets in it, from the file's beginning
	channels int
	sizes    []uint32 // of the packets: 4 bytes for 20 ms, 7 MB for ten hours
	scratch  []byte
}

// startMP4 begins the file anew.
func startMP4(f File, channels int) (*mp4File, error) {
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	head, headerAt := fmp4.AppendFileStart(nil)
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, err
	}
	at := int64(len(head))
	return &mp4File{f: f, start: at, headerAt: int64(headerAt), size: at, channels: channels}, nil
}

// add appends packets; the table needs no times.
func (m *mp4File) add(packets [][]byte, _ int64) error {
	m.scratch = m.scratch[:0]
	for _, p := range packets {
		m.scratch = append(m.scratch, p...)
	}
	if _, err := m.f.WriteAt(m.scratch, m.size); err != nil {
		return err
	}
	m.size += int64(len(m.scratch))
	for _, p := range packets {
		m.sizes = append(m.sizes, uint32(len(p)))
	}
	return nil
}

// finish writes the table and the size of the media data. It takes as long for ten
// hours as for a minute, but for 5 bytes a packet.
func (m *mp4File) finish() error {
	end := fmp4.AppendFileEnd(nil, fmp4.File{
		Track:  fmp4.Track{Channels: m.channels, PreSkip: opus.PreSkip, PacketSamples: packetSamples},
		Offset: m.start,
		Sizes:  m.sizes,
	})
	if _, err := m.f.WriteAt(end, m.size); err != nil {
		return err
	}
	if _, err := m.f.WriteAt(fmp4.MediaHeader(m.size-m.start), m.headerAt); err != nil {
		return err
	}
	return m.f.Truncate(m.size + int64(len(end)))
}
