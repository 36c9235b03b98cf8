package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hustings/internal/programme"
)

func TestAFolderIsOneNodesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	first, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(path); err == nil || !strings.Contains(err.Error(), "in use by another hustings") {
		t.Errorf("a second node: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(path)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again.close()
}

func TestKeysAreMadeOnceAndKeptFromOthers(t *testing.T) {
	path := t.TempDir()
	var owner, verifier, invite string
	for start := range 2 {
		f, err := openFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		k, err := f.loadKeys(Options{Domain: "talk.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		f.close()
		if start == 0 {
			owner, verifier = k.owner, k.log.Verifier()
			if invite, err = k.tokens.Mint("invite", "x"); err != nil {
				t.Fatal(err)
			}
			if !k.ownerMade || !strings.HasPrefix(verifier, "talk.example.org+") {
				t.Errorf("first start: token made %v, key %s", k.ownerMade, verifier)
			}
			continue
		}
		var v string
		if err := k.tokens.Open("invite", invite, &v); err != nil || k.owner != owner || k.log.Verifier() != verifier || k.ownerMade {
			t.Errorf("second start: %v, token the same %v and made %v, key the same %v", err, k.owner == owner, k.ownerMade, k.log.Verifier() == verifier)
		}
	}
	for _, name := range []string{"owner.token", "keys/secret", "keys/log"} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestAnEdgeKeepsItsNameAndTheKeyThatItTrusts(t *testing.T) {
	path := t.TempDir()
	f, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	name, err := f.edgeName()
	again, err2 := f.edgeName()
	if err != nil || err2 != nil || len(name) != 12 || again != name {
		t.Errorf("named %q, then %q (%v, %v)", name, again, err, err2)
	}
	if key, err := f.coreKey(""); key != "" || err != nil {
		t.Errorf("before any was trusted: %q, %v", key, err)
	}
	var keys [3]string
	for i := range keys {
		signer, _, err := programme.NewSigner("hustings.test")
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = signer.Verifier()
	}
	if err := f.pinCoreKey(keys[0]); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(other, []byte(keys[1]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": keys[0], other: keys[1], keys[2]: keys[2]} {
		if key, err := f.coreKey(given); key != want || err != nil {
			t.Errorf("with --core-key %q: %q, %v; want %q", given, key, err, want)
		}
	}
	secret, err := f.loadEdgeSecret(Options{})
	info, err2 := os.Stat(f.file("edge.credentials"))
	if err != nil || err2 != nil || !secret.made || len(secret.text) < 32 || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret of edges: %+v, %v, %v", secret, err, err2)
	}
	if given, err := f.loadEdgeSecret(Options{EdgeSecret: "given-by-hand-1234"}); err != nil || given.text != "given-by-hand-1234" || given.file != "" {
		t.Errorf("a given secret: %+v, %v", given, err)
	}
}

func TestAGivenTokenIsNotKept(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	k, err := f.loadKeys(Options{OwnerToken: "0123456789abcdef"})
	if err != nil || k.owner != "0123456789abcdef" || k.ownerFile != "" {
		t.Errorf("owner %q in %q, %v", k.owner, k.ownerFile, err)
	}
	if _, err := os.Stat(f.file("owner.token")); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openFolder(filepath.Join(file, "data")); err == nil || !strings.Contains(err.Error(), "cannot be written to") {
		t.Errorf("got %v", err)
	}
}

func TestADemoMakesAnewOnlyWhatIsADemos(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	write := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(f.file(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.file(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(name string) bool {
		_, err := os.Stat(f.file(name))
		return err == nil
	}
	write("programme/talk/blocks.log")
	if err := f.becomeDemo(); err == nil || !exists("programme/talk/blocks.log") {
		t.Errorf("a server's folder: %v", err)
	}
	if err := os.RemoveAll(f.file("programme")); err != nil {
		t.Fatal(err)
	}
	write("notes.txt")
	if err := f.becomeDemo(); err != nil {
		t.Fatalf("a folder without spaces: %v", err)
	}
	for _, name := range []string{"hustings.db", "programme/demo/blocks.log", "keys/secret", "owner.token"} {
		write(name)
	}
	if err := f.becomeDemo(); err != nil {
		t.Fatalf("its own folder: %v", err)
	}
	for name, want := range map[string]bool{"hustings.db": false, "programme": false, "keys/secret": true, "owner.token": true, "notes.txt": true} {
		if exists(name) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
}
