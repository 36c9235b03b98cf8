//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// ear follows one listener's answer from the first byte: the head of the answer, the
// Ogg stream in it, and a player that plays what has come, as soon as it has.
type ear struct {
	once  bool   // nothing is to be heard after the first sound
	held  []byte // the head of the answer or of a page, until all of it is there
	begun bool   // the answer's head is over
	page  oggPage
	skip  int // bytes of the page's body that are still to come
	pages int

	from, to int64     // samples: where the player began, and up to where sound has come
	playing  time.Time // when it began, put off by each gap

	Gap    time.Duration // the longest time without sound
	Gaps   int
	Missed time.Duration // left out by the server
}

// sounding says that sound has come.
func (e *ear) sounding() bool { return !e.playing.IsZero() }

// hear takes what came at a time.
func (e *ear) hear(data []byte, now time.Time) error {
	if !e.begun {
		e.held = append(e.held, data...)
		end := bytes.Index(e.held, []byte("\r\n\r\n"))
		if end < 0 {
			return nil
		}
		if err := checkStatus(e.held); err != nil {
			return err
		}
		data, e.held, e.begun = e.held[end+4:], nil, true
	}
	for len(data) > 0 && !(e.once && e.sounding()) {
		if e.skip > 0 {
			n := min(e.skip, len(data))
			data, e.skip = data[n:], e.skip-n
		} else {
			var err error
			if data, err = e.enter(data); err != nil || e.page.size == 0 {
				return err
			}
		}
		if e.skip == 0 {
			e.finish(now)
		}
	}
	return nil
}

func checkStatus(head []byte) error {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return fmt.Errorf("no status in %q", line)
	}
	if status, err := strconv.Atoi(string(fields[1])); err != nil || status != 200 {
		return fmt.Errorf("it answered %q", line)
	}
	return nil
}

// enter takes a page's header off data, or keeps what there is of it.
func (e *ear) enter(data []byte) ([]byte, error) {
	before := len(e.held)
	e.held = append(e.held, data...)
	page, whole := oggHeader(e.held)
	e.page = page
	if !whole {
		return nil, nil
	}
	if !bytes.HasPrefix(e.held, []byte("OggS")) {
		return nil, fmt.Errorf("no page of Ogg where one should be")
	}
	e.held = e.held[:0]
	e.skip = page.body
	return data[page.size-before:], nil
}

// finish is called when a page is there: the player goes on, or had to wait for it.
func (e *ear) finish(now time.Time) {
	page := e.page
	e.page = oggPage{}
	if e.pages++; e.pages <= 2 {
		return // OpusHead and OpusTags
	}
	start := page.granule - int64(page.packets)*int64(samples(frame))
	if !e.sounding() {
		e.from, e.to, e.playing = start, page.granule, now
		return
	}
	if page.granule <= e.to {
		return // heard before
	}
	e.wait(now)
	if hole := start - e.to; hole > 0 {
		e.Missed += lasts(hole)
		e.from += hole
	}
	e.to = page.granule
}

// wait takes a gap into account, if the player has nothing to play at a time.
func (e *ear) wait(now time.Time) {
	gap := now.Sub(e.playing) - lasts(e.to-e.from)
	if gap <= 0 {
		return
	}
	e.Gaps++
	e.Gap = max(e.Gap, gap)
	e.playing = e.playing.Add(gap)
}

func samples(d time.Duration) int64     { return int64(d) * sampleRate / int64(time.Second) }
func lasts(samples int64) time.Duration { return time.Duration(samples) * time.Second / sampleRate }
