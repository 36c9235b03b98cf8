package blob_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"hustings/internal/blob"
)

// The stores that must all behave alike.
func stores(t *testing.T) map[string]*blob.Store {
	backend := s3mem.New()
	if err := backend.CreateBucket("recordings"); err != nil {
		t.Fatal(err)
	}
	s3 := serveS3(backend)
	t.Cleanup(s3.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	all := make(map[string]*blob.Store)
	for name, url := range map[string]string{
		"folder": "file://" + filepath.Join(t.TempDir(), "made", "on", "demand"),
		"memory": "mem://",
		"s3":     "s3://recordings?region=us-east-1&use_path_style=true&endpoint=" + s3.URL,
	} {
		s, err := blob.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		all[name] = s
	}
	return all
}

func serveS3(backend gofakes3.Backend) *httptest.Server {
	s := httptest.NewUnstartedServer(gofakes3.New(backend).Server())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it answers a missing key twice, and net/http says so
	s.Start()
	return s
}

func file(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStores(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Run("nothing there", func(t *testing.T) { nothingThere(t, s) })
			t.Run("read from anywhere", func(t *testing.T) { readFromAnywhere(t, s) })
			t.Run("replace", func(t *testing.T) { replace(t, s) })
			t.Run("list and delete", func(t *testing.T) { listAndDelete(t, s) })
		})
	}
}

func nothingThere(t *testing.T, s *blob.Store) {
	if _, err := s.Open(t.Context(), "no-such.ogg"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening: %v, want ErrNotFound", err)
	}
	if names, err := s.List(t.Context(), "no-such"); err != nil || len(names) != 0 {
		t.Errorf("listing: %v, %v", names, err)
	}
	if err := s.Put(t.Context(), "x.ogg", filepath.Join(t.TempDir(), "none"), "audio/ogg"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("storing a file that is not there: %v", err)
	}
}

func readFromAnywhere(t *testing.T, s *blob.Store) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	source := file(t, data)
	if err := s.Put(t.Context(), "long.ogg", source, "audio/ogg"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "long.ogg")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != int64(len(data)) {
		t.Errorf("size %d, want %d", r.Size(), len(data))
	}
	if age := time.Since(r.ModTime()); age < -time.Minute || age > time.Minute {
		t.Errorf("its time is %v", r.ModTime())
	}
	if err := iotest.TestReader(io.NewSectionReader(readerAt{t, s}, 0, 64), data[:64]); err != nil {
		t.Error(err)
	}
	for _, at := range []int64{100000, 3, 0, int64(len(data)) - 5} {
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r)
		if err != nil || sha256.Sum256(rest) != sha256.Sum256(data[at:]) {
			t.Errorf("from %d on %d bytes, %v; want those that were stored", at, len(rest), err)
		}
	}
	if end, err := r.Seek(0, io.SeekEnd); err != nil || end != int64(len(data)) {
		t.Errorf("the end is at %d, %v", end, err)
	}
}

// readerAt opens the blob for each read.
type readerAt struct {
	t *testing.T
	s *blob.Store
}

func (a readerAt) ReadAt(p []byte, at int64) (int, error) {
	r, err := a.s.Open(a.t.Context(), "long.ogg")
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(r, p)
}

func replace(t *testing.T, s *blob.Store) {
	for _, text := range []string{"first", "and second, which is longer", "3"} {
		path := file(t, []byte(text))
		for range 2 { // the second time the same file is there already
			if err := s.Put(t.Context(), "same.json", path, "application/json"); err != nil {
				t.Fatal(err)
			}
		}
		r, err := s.Open(t.Context(), "same.json")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
		r.Close()
	}
}

func listAndDelete(t *testing.T, s *blob.Store) {
	for _, name := range []string{"list-b.ogg", "list-a.ogg", "other.ogg"} {
		if err := s.Put(t.Context(), name, file(t, []byte(name)), "audio/ogg"); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := s.List(t.Context(), "list-"); err != nil || !slices.Equal(names, []string{"list-a.ogg", "list-b.ogg"}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := s.Delete(t.Context(), "list-a.ogg"); err != nil {
		t.Error(err)
	}
	if names, err := s.List(t.Context(), "list-"); err != nil || !slices.Equal(names, []string{"list-b.ogg"}) {
		t.Errorf("after deleting: %v, %v", names, err)
	}
	if _, err := s.Open(t.Context(), "list-a.ogg"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening what was deleted: %v, want ErrNotFound", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"file://relative/folder": "absolute path",
		"gopher://x":             "no driver",
		"s3://a b":               "can't be read",
	} {
		if _, err := blob.Open(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestCheckTellsOfAMissingBucket(t *testing.T) {
	s3 := serveS3(s3mem.New())
	defer s3.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	s, err := blob.Open(t.Context(), "s3://none?region=us-east-1&use_path_style=true&endpoint="+s3.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("%v, want that it can't be reached", err)
	}
}
