// Package blob keeps whole files by name: in a folder, or in an object store that
// speaks S3.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file:///folder
	_ "gocloud.dev/blob/memblob"  // mem://
	_ "gocloud.dev/blob/s3blob"   // s3://bucket
	"gocloud.dev/gcerrors"
)

// ErrNotFound says that there is nothing under a name.
var ErrNotFound = errors.New("not in the store")

// Store holds blobs. Its methods may be called by any goroutine.
type Store struct {
	bucket *blob.Bucket
	url    string // without credentials, for messages
	folder string // of a file:// store, else ""
}

// Open opens a store by URL:
//
//	file:///var/lib/hustings/recordings
//	s3://bucket?region=eu-central-1
//	s3://bucket?endpoint=https://s3.example.org&region=us-east-1&use_path_style=true
//	mem://
//
// S3 takes its keys from the AWS_* variables or the usual files. Nothing is asked
// of S3 yet: Check does.
func Open(ctx context.Context, rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of the recordings' store can't be read: %w", errors.Unwrap(err))
	}
	s := &Store{url: u.Redacted()}
	if u.Scheme == "file" {
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return nil, fmt.Errorf("the recordings' store %s must be file:// and an absolute path", s.url)
		}
		s.folder = u.Path
		if err := os.MkdirAll(s.folder, 0o755); err != nil {
			return nil, err
		}
		// The type of a file is in its name; no files with attributes beside it, and
		// no writing elsewhere first, which may be another disk.
		u.RawQuery = "metadata=skip&no_tmp_dir=true"
	}
	s.bucket, err = blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the recordings' store %s: %w", s.url, err)
	}
	return s, nil
}

// Check asks the store whether it is there and lets us in.
func (s *Store) Check(ctx context.Context) error {
	ok, err := s.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("the recordings' store %s can't be reached: %w", s.url, err)
	}
	return nil
}

// Put stores the file at path under a name, in place of what was there. Readers
// see the old or the new blob whole, never a part. In a folder on the same disk it
// is a second link to the file, which must not be written to any more.
func (s *Store) Put(ctx context.Context, name, path, contentType string) error {
	if s.folder != "" && s.link(name, path) == nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.bucket.Upload(ctx, name, f, &blob.WriterOptions{ContentType: contentType}); err != nil {
		return s.wrap("storing", name, err)
	}
	return nil
}

// link puts a second link to the file in place, by way of a name of its own so
// that it replaces what was there at once.
func (s *Store) link(name, path string) error {
	if name == "" || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		return errors.New("a name that fileblob may spell otherwise")
	}
	temporary := filepath.Join(s.folder, ".link-"+name)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, temporary); err != nil {
		return err
	}
	// Renaming a link onto another one to the same file does nothing, and leaves it.
	defer os.Remove(temporary)
	return os.Rename(temporary, filepath.Join(s.folder, name))
}

// Reader reads a blob from anywhere in it.
type Reader interface {
	io.ReadSeekCloser
	Size() int64 // in bytes
	ModTime() time.Time
}

// Open opens a blob for reading. ctx bounds all reading, not the opening alone.
//
// Errors: ErrNotFound.
func (s *Store) Open(ctx context.Context, name string) (Reader, error) {
	r, err := s.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, s.wrap("reading", name, err)
	}
	return r, nil
}

// Delete removes a blob.
//
// Errors: ErrNotFound, except of S3, which does not tell.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.bucket.Delete(ctx, name); err != nil {
		return s.wrap("deleting", name, err)
	}
	return nil
}

// List returns the names that begin with prefix, in order.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	for it := s.bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
		object, err := it.Next(ctx)
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, s.wrap("listing", prefix, err)
		}
		names = append(names, object.Key)
	}
}

// Close ends the store. Readers still open fail.
func (s *Store) Close() error { return s.bucket.Close() }

func (s *Store) wrap(doing, name string, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return fmt.Errorf("%s %s in the recordings' store: %w", doing, name, err)
}
