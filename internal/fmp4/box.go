package fmp4

import "encoding/binary"

// writer appends boxes (ISO/IEC 14496-12, section 4.2) to a buffer. All numbers
// are big endian.
type writer struct{ buf []byte }

// open begins a box and returns where, for end to fill in its size.
func (w *writer) open(kind string) int {
	start := len(w.buf)
	w.u32(0)
	w.buf = append(w.buf, kind...)
	return start
}

// openFull begins a box with a version and 24 bits of flags.
func (w *writer) openFull(kind string, version byte, flags uint32) int {
	start := w.open(kind)
	w.u32(uint32(version)<<24 | flags)
	return start
}

// end fills in the size of the box that began at start.
func (w *writer) end(start int) {
	binary.BigEndian.PutUint32(w.buf[start:], uint32(len(w.buf)-start))
}

func (w *writer) u8(v byte)     { w.buf = append(w.buf, v) }
func (w *writer) u16(v uint16)  { w.buf = binary.BigEndian.AppendUint16(w.buf, v) }
func (w *writer) u32(v uint32)  { w.buf = binary.BigEndian.AppendUint32(w.buf, v) }
func (w *writer) u64(v uint64)  { w.buf = binary.BigEndian.AppendUint64(w.buf, v) }
func (w *writer) text(s string) { w.buf = append(w.buf, s...) }
func (w *writer) zeros(n int)   { w.buf = append(w.buf, make([]byte, n)...) }

// cstring appends a string with its closing zero.
func (w *writer) cstring(s string) {
	w.text(s)
	w.u8(0)
}

// cursor reads numbers from the front of data. What is not there reads as zero
// and sets short.
type cursor struct {
	data  []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.data) {
		c.short = true
		c.data = nil
		return nil
	}
	b := c.data[:n]
	c.data = c.data[n:]
	return b
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// full reads version and flags.
func (c *cursor) full() (version byte, flags uint32) {
	v := c.u32()
	return byte(v >> 24), v & 0xffffff
}

// cstring reads up to a zero, which must be there.
func (c *cursor) cstring() string {
	for i, b := range c.data {
		if b == 0 {
			s := string(c.data[:i])
			c.data = c.data[i+1:]
			return s
		}
	}
	c.take(-1)
	return ""
}

// child takes the next box: its kind and what is in it. A box that does not fit
// sets short.
func (c *cursor) child() (kind string, body []byte) {
	size := c.u32()
	name := c.take(4)
	if c.short || size < 8 {
		c.take(-1)
		return "", nil
	}
	return string(name), c.take(int(size) - 8)
}

// find returns what is in the first box of the given path below data.
func find(data []byte, path ...string) (body []byte, ok bool) {
	for _, want := range path {
		c := cursor{data: data}
		for {
			if len(c.data) == 0 {
				return nil, false
			}
			kind, inner := c.child()
			if c.short {
				return nil, false
			}
			if kind == want {
				data = inner
				break
			}
		}
	}
	return data, true
}
