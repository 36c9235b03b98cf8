package reel

import (
	"hash/fnv"

	"hustings/internal/ogg"
	"hustings/internal/opus"
)

const vendor = "hustings"

// oggFile writes packets as Ogg Opus: two header pages, then a page for each add.
type oggFile struct {
	f        File
	size     int64 // of the whole pages in it
	serial   uint32
	sequence uint32
	last     ogg.Page // the newest, to be written again as the end of the stream
	lastAt   int64
	scratch  []byte
}

// startOgg begins the file anew.
func startOgg(f File, name string, channels int) (*oggFile, error) {
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	o := &oggFile{f: f, serial: h.Sum32(), sequence: 2}
	head := ogg.AppendHeaders(nil, o.serial, channels, opus.PreSkip, vendor)
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, err
	}
	o.size = int64(len(head))
	return o, nil
}

// add appends packets as a page whose last sample ends at end.
func (o *oggFile) add(packets [][]byte, end int64) error {
	page := ogg.Page{Granule: end, Serial: o.serial, Sequence: o.sequence, Packets: packets}
	o.scratch = ogg.AppendPage(o.scratch[:0], page)
	if _, err := o.f.WriteAt(o.scratch, o.size); err != nil {
		return err
	}
	o.last, o.lastAt = page, o.size
	o.size += int64(len(o.scratch))
	o.sequence++
	return nil
}

// finish marks the last page as the end of the stream (RFC 3533, section 6).
func (o *oggFile) finish() error {
	if o.last.Packets != nil {
		o.last.Flags |= ogg.Last
		o.scratch = ogg.AppendPage(o.scratch[:0], o.last)
		if _, err := o.f.WriteAt(o.scratch, o.lastAt); err != nil {
			return err
		}
	}
	return o.f.Truncate(o.size)
}
