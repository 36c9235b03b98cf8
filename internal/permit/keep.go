package permit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Keeper keeps one small document.
type Keeper interface {
	Load() ([]byte, error) // nil if there is none
	Save([]byte) error     // in place of the one before it, whole or not at all
}

// File is a Keeper: a file at this path, whose folder is there.
type File string

// Load reads the file.
func (f File) Load() ([]byte, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save writes the file anew, on the disk before it takes its name (mode 0600).
func (f File) Save(data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(string(f)), ".rehearsal-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // after the rename there is none
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), string(f))
}

// kept is the document.
type kept struct {
	On   *running  `json:"on,omitempty"`
	Last *reported `json:"last,omitempty"`
}

// document writes down how things stand. It needs mu.
func (f *Office) document() ([]byte, error) { return json.Marshal(kept{On: f.on, Last: f.last}) }

// save keeps how things stand. It needs saving and mu.
func (f *Office) save() error {
	if f.opts.Keep == nil {
		return nil
	}
	data, err := f.document()
	if err == nil {
		err = f.opts.Keep.Save(data)
	}
	if err != nil {
		return fmt.Errorf("permit: keep the rehearsal: %w", err)
	}
	return nil
}

// load takes up what was kept. What can't be read is left out: a server must not
// stay down over a rehearsal of last week.
func (f *Office) load() error {
	if f.opts.Keep == nil {
		return nil
	}
	data, err := f.opts.Keep.Load()
	if err != nil {
		return fmt.Errorf("permit: the rehearsal that was kept: %w", err)
	}
	if len(data) == 0 {
		return nil
	}
	var was kept
	if err := json.Unmarshal(data, &was); err != nil {
		f.log.Warn("the last rehearsal can't be read and is forgotten; rehearse again", "err", err)
		return nil
	}
	f.on, f.last = was.On, was.Last
	return nil
}
