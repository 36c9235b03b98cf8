package hls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrPlaylist is wrapped by the errors for text that is no media playlist.
var ErrPlaylist = errors.New("not a media playlist")

// maxSegments bounds what is read, skipped segments included.
const maxSegments = 10000

// Parse reads a media playlist of the kind that AppendMedia writes. It takes what it
// must not refuse (tags that it does not know, comments), and nothing else that is
// out of order.
//
// Errors: ErrPlaylist.
func Parse(text []byte) (Playlist, error) {
	r := reader{}
	lines := strings.Split(string(text), "\n")
	if lines[0] != "#EXTM3U" || lines[len(lines)-1] != "" {
		return Playlist{}, fmt.Errorf("%w: it does not begin with #EXTM3U, or its last line is cut off", ErrPlaylist)
	}
	for i, line := range lines[1 : len(lines)-1] {
		if err := r.line(line); err != nil {
			return Playlist{}, fmt.Errorf("%w: line %d, %q: %w", ErrPlaylist, i+2, line, err)
		}
	}
	if err := r.finish(); err != nil {
		return Playlist{}, fmt.Errorf("%w: %w", ErrPlaylist, err)
	}
	return r.list, nil
}

// reader is a playlist as far as it has been read.
type reader struct {
	list    Playlist
	section string          // the map that is in force
	next    Segment         // the segment whose tags are being read
	begun   bool            // it has a tag
	timed   bool            // EXTINF was read: its URI is next
	seen    map[string]bool // tags that may stand but once
}

// line reads one line.
func (r *reader) line(line string) error {
	switch {
	case r.timed:
		return r.close(line)
	case line == "":
		return nil
	case !strings.HasPrefix(line, "#"):
		return errors.New("a URI without an EXTINF")
	case !strings.HasPrefix(line, "#EXT"):
		return nil // a comment
	}
	if r.list.Ended {
		return errors.New("a tag after the end")
	}
	tag, value, _ := strings.Cut(line, ":")
	if set := once[tag]; set != nil {
		if r.seen[tag] {
			return errors.New("it stands twice")
		}
		if r.seen == nil {
			r.seen = make(map[string]bool)
		}
		r.seen[tag] = true
		return set(r, value)
	}
	if set := repeated[tag]; set != nil {
		return set(r, value)
	}
	return nil // one of a later edition
}

// close takes the URI of a segment, which is whole with it.
func (r *reader) close(uri string) error {
	switch {
	case uri == "" || uri[0] == '#':
		return errors.New("no URI after EXTINF")
	case r.section == "":
		return errors.New("a segment without EXT-X-MAP")
	case len(r.list.Segments)+r.list.Skipped >= maxSegments:
		return errors.New("too many segments")
	}
	r.next.URI, r.next.Map = uri, r.section
	r.list.Segments = append(r.list.Segments, r.next)
	r.next, r.begun, r.timed = Segment{}, false, false
	return nil
}

// once are the tags that stand at most once, and what they set.
var once = map[string]func(r *reader, value string) error{
	"#EXT-X-VERSION": func(r *reader, v string) error {
		if v != strconv.Itoa(Version) {
			return fmt.Errorf("version %d is wanted", Version)
		}
		return nil
	},
	"#EXT-X-TARGETDURATION": func(r *reader, v string) (err error) {
		r.list.Target, err = strconv.Atoi(v)
		if err == nil && r.list.Target <= 0 {
			err = errors.New("it must be positive")
		}
		return err
	},
	"#EXT-X-SERVER-CONTROL": (*reader).control,
	"#EXT-X-PART-INF": func(r *reader, v string) error {
		return attributes(v, map[string]any{"PART-TARGET": &r.list.PartTarget}, "PART-TARGET")
	},
	"#EXT-X-MEDIA-SEQUENCE": func(r *reader, v string) error { return r.beforeSegments(v, &r.list.Sequence) },
	"#EXT-X-DISCONTINUITY-SEQUENCE": func(r *reader, v string) error {
		return r.beforeSegments(v, &r.list.Discontinuities)
	},
	"#EXT-X-SKIP": (*reader).skip,
	"#EXT-X-PRELOAD-HINT": func(r *reader, v string) error {
		kind := ""
		err := attributes(v, map[string]any{"TYPE": bare(&kind), "URI": &r.list.Hint}, "TYPE", "URI")
		if err == nil && kind != "PART" {
			err = errors.New("a hint of another type")
		}
		return err
	},
	"#EXT-X-ENDLIST": func(r *reader, v string) error {
		r.list.Ended = true
		return nil
	},
}

// repeated are the tags that may stand often.
var repeated = map[string]func(r *reader, value string) error{
	"#EXT-X-DISCONTINUITY": func(r *reader, _ string) error {
		if len(r.next.Parts) > 0 {
			return errors.New("a discontinuity within a segment")
		}
		return r.tag(&r.next.Discontinuity)
	},
	"#EXT-X-GAP": func(r *reader, _ string) error { return r.tag(&r.next.Gap) },
	"#EXT-X-MAP": func(r *reader, v string) error {
		if len(r.next.Parts) > 0 {
			return errors.New("a map within a segment")
		}
		r.begun = true
		return attributes(v, map[string]any{"URI": &r.section}, "URI")
	},
	"#EXT-X-PROGRAM-DATE-TIME": func(r *reader, v string) (err error) {
		r.begun = true
		r.next.Time, err = time.Parse(time.RFC3339Nano, v)
		return err
	},
	"#EXT-X-PART": (*reader).part,
	"#EXTINF": func(r *reader, v string) (err error) {
		number, _, comma := strings.Cut(v, ",")
		if !comma {
			return errors.New("no comma after the duration")
		}
		r.timed = true
		r.next.Duration, err = seconds(number)
		return err
	},
	"#EXT-X-RENDITION-REPORT": func(r *reader, v string) error {
		report := Report{Part: -1}
		err := attributes(v, map[string]any{"URI": &report.URI, "LAST-MSN": &report.Sequence, "LAST-PART": &report.Part}, "URI", "LAST-MSN")
		r.list.Reports = append(r.list.Reports, report)
		return err
	},
}

func (r *reader) control(v string) error {
	block := ""
	err := attributes(v, map[string]any{
		"CAN-BLOCK-RELOAD": bare(&block), "CAN-SKIP-UNTIL": &r.list.SkipUntil, "HOLD-BACK": &r.list.HoldBack, "PART-HOLD-BACK": &r.list.PartHoldBack,
	}, "CAN-BLOCK-RELOAD", "PART-HOLD-BACK")
	if err == nil && block != "YES" {
		err = errors.New("reloads don't block")
	}
	return err
}

func (r *reader) beforeSegments(v string, to *uint64) (err error) {
	if len(r.list.Segments) > 0 || r.begun || r.list.Skipped > 0 {
		return errors.New("it must stand before the first segment")
	}
	*to, err = strconv.ParseUint(v, 10, 62)
	return err
}

func (r *reader) skip(v string) error {
	if len(r.list.Segments) > 0 || r.begun {
		return errors.New("a skip after a segment")
	}
	err := attributes(v, map[string]any{"SKIPPED-SEGMENTS": &r.list.Skipped}, "SKIPPED-SEGMENTS")
	if err == nil && (r.list.Skipped < 1 || r.list.Skipped > maxSegments) {
		err = errors.New("a count that can't be")
	}
	return err
}

func (r *reader) tag(flag *bool) error {
	if *flag {
		return errors.New("it stands twice for one segment")
	}
	*flag, r.begun = true, true
	return nil
}

func (r *reader) part(v string) error {
	if r.list.Hint != "" || len(r.list.Reports) > 0 {
		return errors.New("a part after the hint of the next one")
	}
	r.begun = true
	var p Part
	independent, gap := "", ""
	err := attributes(v, map[string]any{"DURATION": &p.Duration, "URI": &p.URI, "INDEPENDENT": bare(&independent), "GAP": bare(&gap)}, "DURATION", "URI")
	p.Independent, p.Gap = independent == "YES", gap == "YES"
	if len(r.next.Parts) >= maxSegments {
		return errors.New("too many parts")
	}
	r.next.Parts = append(r.next.Parts, p)
	return err
}

// bare marks an attribute whose value has no quotation marks around it.
type bareText struct{ to *string }

func bare(to *string) bareText { return bareText{to} }

// attributes reads an attribute list into what its names stand for.
func attributes(list string, into map[string]any, required ...string) error {
	read := map[string]bool{}
	for list != "" {
		name, rest, ok := strings.Cut(list, "=")
		if !ok || name == "" {
			return errors.New("an attribute without a value")
		}
		value, after, err := attributeValue(rest)
		if err != nil {
			return err
		}
		if read[name] {
			return fmt.Errorf("%s stands twice", name)
		}
		read[name], list = true, after
		if err := setAttribute(into[name], value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range required {
		if !read[name] {
			return fmt.Errorf("no %s", name)
		}
	}
	return nil
}

// attributeValue splits the value at the front of a list from the rest of it. A
// quoted one keeps its first mark, by which it is known.
func attributeValue(list string) (value, rest string, err error) {
	if !strings.HasPrefix(list, `"`) {
		value, rest, more := strings.Cut(list, ",")
		if value == "" || more && rest == "" {
			return "", "", errors.New("an empty attribute")
		}
		return value, rest, nil
	}
	end := strings.IndexByte(list[1:], '"')
	if end < 0 {
		return "", "", errors.New("a quotation without an end")
	}
	value, rest = list[:end+1], list[end+2:]
	if rest == "" {
		return value, "", nil
	}
	if rest[0] != ',' || len(rest) == 1 {
		return "", "", errors.New("no comma after a quotation")
	}
	return value, rest[1:], nil
}

func setAttribute(to any, value string) (err error) {
	text, quoted := strings.CutPrefix(value, `"`)
	if _, isText := to.(*string); to != nil && isText != quoted {
		return errors.New("quotation marks where none may be, or none where they must")
	}
	switch to := to.(type) {
	case *string:
		*to = text
		if text == "" {
			return errors.New("it is empty")
		}
	case bareText:
		*to.to = value
	case *uint64:
		*to, err = strconv.ParseUint(value, 10, 62)
	case *int:
		*to, err = strconv.Atoi(value)
		if err == nil && *to < 0 {
			return errors.New("it is negative")
		}
	case *time.Duration:
		*to, err = seconds(value)
	}
	return err
}

// seconds reads a decimal number of seconds.
func seconds(text string) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 31)
	if err != nil || len(fraction) > 9 {
		return 0, fmt.Errorf("%q is no number of seconds", text)
	}
	d := time.Duration(n) * time.Second
	if fraction == "" {
		return d, nil
	}
	ns, err := strconv.ParseUint(fraction+"000000000"[len(fraction):], 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of seconds", text)
	}
	return d + time.Duration(ns), nil
}
