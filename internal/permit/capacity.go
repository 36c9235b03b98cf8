package permit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"hustings/internal/space"
)

// stand is what a deployment's capacity depends on: a rehearsal speaks for no other.
type stand struct {
	Version  string    `json:"version"`
	Settings []Setting `json:"settings"`
	Machine  Machine   `json:"machine"`
	Edges    []string  `json:"edges"` // sorted
}

// reported is a rehearsal whose report was signed.
type reported struct {
	At        time.Time `json:"at"`
	Listeners int       `json:"listeners"` // the capacity
	Note      string    `json:"note"`
	Stand     stand     `json:"stand"`
}

// stand takes down how things are now.
func (f *Office) stand() stand {
	s := stand{Version: f.opts.Version, Machine: f.opts.Machine}
	if f.opts.Settings != nil {
		s.Settings = f.opts.Settings()
	}
	if f.opts.Edges != nil {
		s.Edges = slices.Sorted(slices.Values(f.opts.Edges()))
	}
	return s
}

func (s stand) write(l *lines) {
	l.put("version", s.Version)
	l.put("settings", s.hash())
	for _, setting := range s.Settings {
		l.put("setting-"+setting.Name, setting.Value)
	}
	l.put("processors", s.Machine.Processors)
	l.put("memory-bytes", s.Machine.Memory)
	l.put("edges", len(s.Edges))
	for _, edge := range s.Edges {
		l.put("edge", edge)
	}
}

// hash names the settings: the SHA-256 of their lines, "name=value" each.
func (s stand) hash() string {
	h := sha256.New()
	for _, setting := range s.Settings {
		fmt.Fprintf(h, "%s=%s\n", setting.Name, oneLine(setting.Value))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Capacity tells how many listeners the last rehearsal has shown this deployment to
// carry, and whether it still is what was rehearsed.
func (f *Office) Capacity() space.Capacity {
	now := f.stand()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		return space.Capacity{Stale: true, Why: "nothing was rehearsed here yet"}
	}
	at, why := f.last.At, f.last.Stand.changes(now)
	return space.Capacity{
		Listeners: f.last.Listeners, RehearsedAt: &at, Report: f.last.Note,
		Stale: len(why) > 0, Why: strings.Join(why, "; "),
	}
}

// changes says what is not as it was.
func (s stand) changes(now stand) (why []string) {
	if s.Version != now.Version {
		why = append(why, fmt.Sprintf("the program was version %s and is %s now", oneLine(s.Version), oneLine(now.Version)))
	}
	why = append(why, settingChanges(s.Settings, now.Settings)...)
	if s.Machine.Processors != now.Machine.Processors {
		why = append(why, fmt.Sprintf("the server had %d processors and has %d now", s.Machine.Processors, now.Machine.Processors))
	}
	// What the kernel takes for itself differs from start to start.
	if before, after := float64(s.Machine.Memory), float64(now.Machine.Memory); after < 0.95*before || before < 0.95*after {
		why = append(why, fmt.Sprintf("the server had %.1f GB of memory and has %.1f now", before/1e9, after/1e9))
	}
	return append(why, edgeChanges(s.Edges, now.Edges)...)
}

func settingChanges(before, now []Setting) (why []string) {
	was := make(map[string]string, len(before))
	for _, s := range before {
		was[s.Name] = s.Value
	}
	for _, s := range now {
		if old, ok := was[s.Name]; !ok || old != s.Value {
			why = append(why, fmt.Sprintf("%s was %s and is %s now", s.Name, orNothing(old), orNothing(s.Value)))
		}
		delete(was, s.Name)
	}
	for _, s := range before {
		if _, gone := was[s.Name]; gone {
			why = append(why, fmt.Sprintf("%s was %s and is no longer set", s.Name, orNothing(s.Value)))
		}
	}
	return why
}

func orNothing(value string) string {
	if value == "" {
		return "not set"
	}
	return oneLine(value)
}

func edgeChanges(before, now []string) (why []string) {
	for _, edge := range before {
		if !slices.Contains(now, edge) {
			why = append(why, "edge "+oneLine(edge)+" is gone")
		}
	}
	for _, edge := range now {
		if !slices.Contains(before, edge) {
			why = append(why, "edge "+oneLine(edge)+" is new")
		}
	}
	return why
}
