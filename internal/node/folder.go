package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/token"
)

// folder is the data folder, held by this process alone:
//
//	lock             held while a node runs on the folder
//	owner.token      the owner's API token
//	keys/secret      signs invites and sign-ins
//	keys/log         signs the programme's checkpoints
//	hustings.db      spaces and invites, unless they are in PostgreSQL
//	programme/       the log of every space, and its recording while it grows
//	recordings/      finished recordings, unless they are kept elsewhere
//	certificates/    of --domain
//	edge.credentials the secret with which edges join
//	rehearsal.json   the rehearsal that is on, and the last one's report
//
// That of an edge has less:
//
//	edge.name        its name among the edges
//	core.key         the key of the log that it trusts
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder if it is not there, sees that it can be written to,
// and locks it: two nodes on one folder would write into each other's logs.
func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(path, "keys"), 0o700); err != nil {
		return nil, fmt.Errorf("the data folder cannot be written to: %w (--data names another)", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data folder cannot be written to: %w (--data names another)", err)
	}
	// The kernel lets the lock go with the process, however that ends.
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another hustings: end that one, or name another folder with --data", path)
		}
		return nil, fmt.Errorf("cannot lock the data folder: %w", err)
	}
	return &folder{path: path, lock: lock}, nil
}

func (f *folder) close() error { return f.lock.Close() }

func (f *folder) file(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

// keys are the secrets of a node.
type keys struct {
	tokens    *token.Minter
	log       *programme.Signer
	owner     string // the owner's API token
	ownerFile string // where it is kept; "" if it was given
	ownerMade bool   // it was made just now
	edges     secret // of edges; empty unless they may join here
}

// secret is one that is made on the first start, unless it is given.
type secret struct {
	text string
	file string // where it is kept; "" if it was given
	made bool   // just now
}

// loadEdgeSecret reads the secret of edges, or makes and keeps it (mode 0600).
func (f *folder) loadEdgeSecret(o Options) (s secret, err error) {
	if s.text = strings.TrimSpace(o.EdgeSecret); s.text != "" {
		return s, nil
	}
	s.file = f.file("edge.credentials")
	if s.text, s.made, err = token.LoadText(s.file); err != nil {
		return secret{}, fmt.Errorf("the secret of edges: %w", err)
	}
	return s, nil
}

// edgeName returns the name of this edge, which stays the same as long as its folder
// does.
func (f *folder) edgeName() (string, error) {
	path := f.file("edge.name")
	text, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(text)); err == nil && space.ID(name).Valid() {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the name of this edge: %w", err)
	}
	name := token.Name(12)
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the name of this edge: %w", err)
	}
	return name, nil
}

// coreKey returns the verifier key that was given, as it is or in a file, or else the
// one that is kept from the first time that this edge joined; "" if it never did.
func (f *folder) coreKey(given string) (string, error) {
	path := f.file("core.key")
	switch {
	case programme.ValidVerifier(strings.TrimSpace(given)):
		return strings.TrimSpace(given), nil
	case given != "":
		path = given
	}
	text, err := os.ReadFile(path)
	if given == "" && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("--core-key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if !programme.ValidVerifier(key) { // what it is instead may be a secret: it is not shown
		return "", fmt.Errorf("--core-key: %s holds no key such as /.well-known/hustings-keys.json of the server names", path)
	}
	return key, nil
}

// pinCoreKey keeps the key for the next start, whole or not at all: a part of it would
// be another key, and none would trust anybody.
func (f *folder) pinCoreKey(key string) error {
	file, err := os.CreateTemp(f.path, ".core.key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // after the rename there is none
	_, err = file.WriteString(key + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.file("core.key"))
}

// loadKeys reads the secrets, or makes and keeps them (mode 0600). Whoever has
// them can make invites and sign recordings in this server's name.
func (f *folder) loadKeys(o Options) (*keys, error) {
	secret, _, err := token.LoadSecret(f.file("keys", "secret"))
	if err != nil {
		return nil, fmt.Errorf("the key for invites: %w", err)
	}
	k := &keys{owner: strings.TrimSpace(o.OwnerToken)}
	if k.tokens, err = token.New(secret, nil); err != nil {
		return nil, fmt.Errorf("the key for invites: %w", err)
	}
	if k.log, err = programme.LoadSigner(f.file("keys", "log"), signerName(o)); err != nil {
		return nil, fmt.Errorf("the key that signs the programme: %w", err)
	}
	if o.BusListen != "" {
		if k.edges, err = f.loadEdgeSecret(o); err != nil {
			return nil, err
		}
	}
	if k.owner != "" {
		return k, nil
	}
	k.ownerFile = f.file("owner.token")
	if k.owner, k.ownerMade, err = token.LoadText(k.ownerFile); err != nil {
		return nil, fmt.Errorf("the owner's token: %w", err)
	}
	return k, nil
}

// signerName is the name under which this server signs: what its key is called in
// the checkpoints, for those who hold keys of several servers. It is settled when
// the key is made.
func signerName(o Options) string {
	name := o.Domain
	if name == "" {
		_, name, _ = strings.Cut(o.PublicURL, "://")
		name = strings.Trim(name, "/")
	}
	if name == "" {
		return "hustings"
	}
	return name
}
