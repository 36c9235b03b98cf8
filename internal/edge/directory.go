package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"hustings/internal/space"
)

// directory is what an edge knows of the spaces: what the core told when it was
// asked, and every change since.
type directory struct {
	mu     sync.RWMutex // guards what follows
	spaces map[space.ID]space.Space
	known  bool // all of them came at least once
	// changed are those that changed while the core is being asked: what is heard is
	// never older than what is answered. nil unless it is being asked.
	changed map[space.ID]space.Space
}

// hear takes a change off the bus.
func (d *directory) hear(subject string, data []byte) (space.Space, error) {
	var t told
	if err := json.Unmarshal(data, &t); err != nil {
		return space.Space{}, err
	}
	sp, ok := t.space()
	if !ok || spaceSubject+string(sp.ID) != subject {
		return sp, fmt.Errorf("%.80q is about a space %.80q in phase %.20q", subject, t.ID, t.Phase)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spaces == nil {
		d.spaces = make(map[space.ID]space.Space)
	}
	d.spaces[sp.ID] = sp
	if d.changed != nil {
		d.changed[sp.ID] = sp
	}
	return sp, nil
}

// fill asks for all spaces and takes them in place of what was known.
func (d *directory) fill(ask func(spacesRequest) (spacesAnswer, error)) error {
	d.mu.Lock()
	d.changed = make(map[space.ID]space.Space)
	d.mu.Unlock()
	spaces, err := collect(ask)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		maps.Copy(spaces, d.changed)
		d.spaces, d.known = spaces, true
	}
	d.changed = nil
	return err
}

// collect asks page by page.
func collect(ask func(spacesRequest) (spacesAnswer, error)) (map[space.ID]space.Space, error) {
	spaces := make(map[space.ID]space.Space)
	for after := space.ID(""); ; {
		page, err := ask(spacesRequest{After: after})
		if err != nil {
			return nil, err
		}
		for _, data := range page.Spaces {
			var t told
			if err := json.Unmarshal(data, &t); err != nil {
				return nil, err
			}
			if sp, ok := t.space(); ok {
				spaces[sp.ID] = sp
			}
		}
		if page.Next == "" {
			return spaces, nil
		}
		if page.Next == after || len(page.Spaces) == 0 {
			return nil, errors.New("the list of spaces does not go on")
		}
		after = page.Next
	}
}

func errUnknown() error {
	return space.Errorf(space.Full, "this server does not know yet what is on; try again in a few seconds")
}

// get returns a space.
//
// Errors: NotFound; Full, while it can't be known.
func (d *directory) get(id space.ID) (space.Space, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	sp, ok := d.spaces[id]
	switch {
	case ok:
		return sp, nil
	case !d.known:
		return space.Space{}, errUnknown()
	default:
		return space.Space{}, space.Errorf(space.NotFound, "there is no such space; check the link")
	}
}

// list returns what is to come and on air first, then the newest.
func (d *directory) list(limit int) []space.Space {
	d.mu.RLock()
	all := slices.Collect(maps.Values(d.spaces))
	d.mu.RUnlock()
	slices.SortFunc(all, func(a, b space.Space) int {
		switch {
		case a.Phase.Over() != b.Phase.Over():
			if a.Phase.Over() {
				return 1
			}
			return -1
		case !a.Created.Equal(b.Created):
			return b.Created.Compare(a.Created)
		default:
			return strings.Compare(string(a.ID), string(b.ID))
		}
	})
	return all[:min(limit, len(all))]
}

// Get returns a space as the core last told of it.
//
// Errors: NotFound; Full, while the core has not told yet.
func (e *Edge) Get(_ context.Context, id space.ID) (space.Space, error) { return e.directory.get(id) }

// List returns spaces, what is to come and on air first, then the newest: one page,
// without an end to go on from.
//
// Errors: Full, while the core has not told yet.
func (e *Edge) List(_ context.Context, _ space.ID, limit int) (page []space.Space, next space.ID, err error) {
	e.directory.mu.RLock()
	known := e.directory.known
	e.directory.mu.RUnlock()
	if !known {
		return nil, "", errUnknown()
	}
	return e.directory.list(limit), "", nil
}
