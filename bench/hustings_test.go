//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ownerToken = "the-owner-of-this-bench"

// program returns the Hustings that is measured.
func program() (string, error) {
	name := os.Getenv(programVariable)
	if name == "" {
		name = "../bin/hustings"
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("%w: make build makes it", err)
	}
	return name, nil
}

// hustings is a server that was started for the scene.
type hustings struct {
	*process
	url         *url.URL
	certificate string // file, "" without TLS
	http        *http.Client
	lines       <-chan string // that it prints after it is ready
}

// serve starts `hustings serve` on a folder of its own.
func serve(t testing.TB, withTLS bool, flags ...string) (*hustings, error) {
	name, err := program()
	if err != nil {
		return nil, err
	}
	folder := t.TempDir()
	args := append([]string{"serve", "--data", filepath.Join(folder, "data"), "--listen", "127.0.0.1:0"}, flags...)
	h := &hustings{http: &http.Client{Timeout: 20 * time.Second}}
	if withTLS {
		h.certificate = filepath.Join(folder, "cert.pem")
		key := filepath.Join(folder, "key.pem")
		if err := makeCertificate(h.certificate, key); err != nil {
			return nil, err
		}
		args = append(args, "--tls-cert", h.certificate, "--tls-key", key)
		h.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HUSTINGS_OWNER_TOKEN="+ownerToken)
	lines, err := linesOf(cmd)
	if err != nil {
		return nil, err
	}
	if h.process, err = start(t, "hustings", cmd); err != nil {
		return nil, err
	}
	h.lines = lines
	address, err := waitFor(h.process, lines, "ready ")
	if err != nil {
		return nil, err
	}
	h.url, err = url.Parse(address)
	return h, err
}

// core is a server whose space is live, and which leaves it to edges to bring it to
// listeners.
type core struct {
	*hustings
	id   string // of the space
	join string // URL by which edges join
}

func startCore(t testing.TB, pcm []float32) (*core, error) {
	addr, _, err := freeAddr()
	if err != nil {
		return nil, err
	}
	h, err := serve(t, false, "--bus-listen", addr, "--weight", "0")
	if err != nil {
		return nil, err
	}
	join, err := waitFor(h.process, h.lines, "nats://")
	if err != nil {
		return nil, err
	}
	id, err := h.goLive(t, pcm)
	return &core{hustings: h, id: id, join: "nats://" + join}, err
}

// edge starts an edge.
func (c *core) edge(t testing.TB, withTLS bool, flags ...string) (*hustings, error) {
	return serve(t, withTLS, append([]string{"--join", c.join}, flags...)...)
}

// linesOf returns what cmd will print, line by line.
func linesOf(cmd *exec.Cmd) (<-chan string, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads them any more
			}
		}
	}()
	return lines, nil
}

// waitFor waits for a line that has prefix and returns what follows it, up to a space.
func waitFor(p *process, lines <-chan string, prefix string) (string, error) {
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, more := <-lines:
			if !more {
				return "", p.trouble(fmt.Errorf("it ended before it said %q", prefix))
			}
			if _, rest, found := strings.Cut(line, prefix); found {
				rest, _, _ = strings.Cut(rest, " ")
				return rest, nil
			}
		case <-timeout:
			return "", p.trouble(fmt.Errorf("it did not say %q within 30 s", prefix))
		}
	}
}

// call calls the API as the owner.
func (h *hustings) call(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, h.url.String()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+ownerToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := h.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, said)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}

// goLive makes a space that is live, with one voice that speaks as long as the
// server is there, and returns its id.
func (h *hustings) goLive(t testing.TB, pcm []float32) (string, error) {
	var space struct{ ID string }
	if err := h.call(http.MethodPost, "/api/v1/spaces", map[string]any{"title": "Bench"}, &space); err != nil {
		return "", err
	}
	base := "/api/v1/spaces/" + space.ID
	if err := h.call(http.MethodPost, base+"/start", map[string]bool{"anyway": true}, nil); err != nil {
		return "", err
	}
	var invite struct{ Token string }
	if err := h.call(http.MethodPost, base+"/invites", map[string]string{"role": "speaker", "name": "Voice"}, &invite); err != nil {
		return "", err
	}
	return space.ID, h.speak(t, space.ID, invite.Token, pcm)
}

// speak publishes the conversation, over and over.
func (h *hustings) speak(t testing.TB, id, token string, pcm []float32) error {
	name, err := program()
	if err != nil {
		return err
	}
	cmd := exec.Command(name, "publish", h.url.String()+"/s/"+id, "-")
	cmd.Env = append(os.Environ(), "HUSTINGS_TOKEN="+token)
	if h.certificate != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+h.certificate)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	voice, err := start(t, "publish", cmd)
	if err != nil {
		return err
	}
	raw := make([]byte, 0, 2*len(pcm))
	for _, x := range pcm {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(int16(max(-1, min(1, x))*32767)))
	}
	go func() {
		for { // it takes no more than it speaks
			if _, err := in.Write(raw); err != nil {
				return
			}
		}
	}()
	go func() {
		<-h.ended
		voice.stop()
	}()
	return nil
}

// get fetches a path of the server.
func (h *hustings) get(path string) ([]byte, http.Header, error) {
	response, err := h.http.Get(h.url.String() + path)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.200s", path, response.Status, body)
	}
	return body, response.Header, err
}

// makeCertificate makes a certificate for 127.0.0.1 that vouches for itself.
func makeCertificate(certificate, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}
