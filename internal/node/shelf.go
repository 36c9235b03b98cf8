package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"hustings/internal/archive"
	"hustings/internal/blob"
)

// shelf lets the archive keep recordings in the blob store without knowing it.
type shelf struct{ *blob.Store }

// Open is that of the store, with the error that the archive knows.
func (s shelf) Open(ctx context.Context, name string) (archive.Blob, error) {
	r, err := s.Store.Open(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}
