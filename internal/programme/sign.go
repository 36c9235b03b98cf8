package programme

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/space"
)

// Signer signs checkpoints with an Ed25519 key, as notes of golang.org/x/mod/sumdb/note.
// It may be used by several goroutines at once.
type Signer struct {
	signer   note.Signer
	verifier string
}

// ErrCheckpoint says that a note is no checkpoint, or not one by the given key.
var ErrCheckpoint = errors.New("not a checkpoint signed by this key")

// NewSigner makes a new key under a name, which is free of spaces and "+" (a
// domain, say). The second result is the secret key, to be kept for ParseSigner.
func NewSigner(name string) (*Signer, string, error) {
	secret, verifier, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, "", fmt.Errorf("making a signing key for %q: %w", name, err)
	}
	s, err := ParseSigner(secret + "\n" + verifier)
	return s, secret + "\n" + verifier + "\n", err
}

// ParseSigner reads the key as NewSigner gave it: the secret key and the verifier
// key, a line each.
func ParseSigner(text string) (*Signer, error) {
	secret, verifier, ok := strings.Cut(strings.TrimSpace(text), "\n")
	if !ok {
		return nil, errors.New("a signing key has two lines: the secret key and the verifier key")
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	// Sign once, so that halves of two different keys are found out now.
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, fmt.Errorf("verifier key: %w", err)
	}
	probe, err := note.Sign(&note.Note{Text: "hustings key\n"}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if _, err := note.Open(probe, note.VerifierList(v)); err != nil {
		return nil, fmt.Errorf("the secret and the verifier key do not belong together: %w", err)
	}
	return &Signer{signer: signer, verifier: verifier}, nil
}

// LoadSigner reads the key in the file, or makes one under the name and keeps it
// there (mode 0600).
func LoadSigner(file, name string) (*Signer, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSigner(file, name)
	}
	if err != nil {
		return nil, err
	}
	s, err := ParseSigner(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

func makeSigner(file, name string) (*Signer, error) {
	s, text, err := NewSigner(name)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".key-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("writing %s: %w", file, err)
	}
	// A link fails where a file is already: two programs starting at once must not
	// end up with two keys.
	if err := os.Link(f.Name(), file); errors.Is(err, fs.ErrExist) {
		return LoadSigner(file, name)
	} else if err != nil {
		return nil, err
	}
	return s, nil
}

// Verifier returns the public key, as OpenCheckpoint takes it.
func (s *Signer) Verifier() string { return s.verifier }

// Sign returns the signed checkpoint of a tree: the origin, the size and the root
// hash in base64, a line each, then the signature.
func (s *Signer) Sign(origin string, size uint64, root tlog.Hash) (string, error) {
	signed, err := s.SignNote(origin + "\n" + strconv.FormatUint(size, 10) + "\n" + root.String() + "\n")
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint of %s: %w", origin, err)
	}
	return signed, nil
}

// SignNote returns a text, which ends with a line end, as a signed note. Its first
// line says what it is, so that it can't be taken for something else: that of a
// checkpoint is its Origin.
func (s *Signer) SignNote(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	return string(signed), err
}

// ValidVerifier reports whether a text is a verifier key.
func ValidVerifier(key string) bool {
	_, err := note.NewVerifier(key)
	return err == nil
}

// ErrNote says that a text is not a note that was signed by the given key.
var ErrNote = errors.New("not a note signed by this key")

// OpenNote checks a signed note by the verifier key and returns its text.
//
// Errors: ErrNote.
func OpenNote(signed []byte, verifierKey string) (string, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return "", fmt.Errorf("verifier key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNote, err)
	}
	return n.Text, nil
}

// Origin names the log of a space in its checkpoints. An epoch has one of its own:
// what a crash took from the disk may have been signed before.
func Origin(id space.ID, epoch uint32) string {
	return "hustings/" + string(id) + "/" + strconv.FormatUint(uint64(epoch), 10)
}

// ParseOrigin is the inverse of Origin.
//
// Errors: ErrCheckpoint.
func ParseOrigin(origin string) (space.ID, uint32, error) {
	rest, ours := strings.CutPrefix(origin, "hustings/")
	id, number, _ := strings.Cut(rest, "/")
	epoch, err := strconv.ParseUint(number, 10, 32)
	if !ours || err != nil || !validSpace(space.ID(id)) || Origin(space.ID(id), uint32(epoch)) != origin {
		return "", 0, fmt.Errorf("%w: its origin is %.100q", ErrCheckpoint, origin)
	}
	return space.ID(id), uint32(epoch), nil
}

// Checkpoint says how a log stood: a size and the root hash that stands for
// every block below it.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
}

// OpenCheckpoint checks a signed checkpoint by the verifier key and returns what
// it says.
//
// Errors: ErrCheckpoint.
func OpenCheckpoint(signed []byte, verifierKey string) (Checkpoint, error) {
	text, err := OpenNote(signed, verifierKey)
	if errors.Is(err, ErrNote) {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if err != nil {
		return Checkpoint{}, err
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: it has %d lines", ErrCheckpoint, len(lines))
	}
	size, err1 := strconv.ParseUint(lines[1], 10, 63)
	root, err2 := tlog.ParseHash(lines[2])
	if err := errors.Join(err1, err2); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}
