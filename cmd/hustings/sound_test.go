package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hustings/internal/ogg"
)

// writeTone writes a sine of -12 dBFS as WAV: 48 kHz, mono, 16 bits; without a header
// if the file is named so (.raw).
func writeTone(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: tone file seconds hertz")
	}
	length, err1 := strconv.ParseFloat(args[1], 64)
	hz, err2 := strconv.ParseFloat(args[2], 64)
	ts.Check(errors.Join(err1, err2))
	le := binary.LittleEndian
	samples := int(length * 48000)
	var out []byte
	if !strings.HasSuffix(args[0], ".raw") {
		out = le.AppendUint32([]byte("RIFF"), uint32(36+2*samples))
		out = append(out, "WAVEfmt "...)
		for _, v := range []uint32{16, 1 | 1<<16, 48000, 96000, 2 | 16<<16} {
			out = le.AppendUint32(out, v)
		}
		out = le.AppendUint32(append(out, "data"...), uint32(2*samples))
	}
	for i := range samples {
		out = le.AppendUint16(out, uint16(int16(8192*math.Sin(2*math.Pi*hz*float64(i)/48000))))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out, 0o600))
}

// pcm decodes a file to mono samples at 48 kHz. ffmpeg may have nothing to say.
func pcm(ts *testscript.TestScript, file string) []float64 {
	cmd := exec.Command("ffmpeg", "-nostdin", "-v", "warning", "-i", ts.MkAbs(file), "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil || log.Len() > 0 {
		ts.Fatalf("ffmpeg on %s: %v: %s", file, err, log.Bytes())
	}
	samples := make([]float64, out.Len()/2)
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(out.Bytes()[2*i:]))) / (1 << 15)
	}
	return samples
}

// loudest is the largest share of one frequency in any tenth of a second, in dBFS.
func loudest(samples []float64, hz float64) float64 {
	const window = 4800
	most := 0.0
	for ; len(samples) >= window; samples = samples[window:] {
		var re, im float64
		for i, v := range samples[:window] {
			// A Hann window, so that what is beside the frequency stays out.
			v *= 1 - math.Cos(2*math.Pi*float64(i)/window)
			re += v * math.Cos(2*math.Pi*hz*float64(i)/48000)
			im += v * math.Sin(2*math.Pi*hz*float64(i)/48000)
		}
		most = max(most, 2*math.Hypot(re, im)/window)
	}
	return 20 * math.Log10(most+1e-9)
}

// hears tells whether a file holds a tone, somewhere, louder than -30 dBFS; or
// nowhere louder than -60.
func hears(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] hears file hertz")
	}
	hz, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	got := loudest(pcm(ts, args[0]), hz)
	if !neg && got < -30 {
		ts.Fatalf("%s Hz is at %.0f dBFS in %s: it can't be heard", args[1], got, args[0])
	}
	if neg && got > -60 {
		ts.Fatalf("%s Hz is at %.0f dBFS in %s: it can be heard", args[1], got, args[0])
	}
}

// loud tells whether there is something to be heard in most of a file.
func loud(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: loud file")
	}
	samples := pcm(ts, args[0])
	var power float64
	for _, v := range samples {
		power += v * v / float64(len(samples))
	}
	if db := 10 * math.Log10(power+1e-12); db < -35 || db > -10 {
		ts.Fatalf("%s is at %.0f dBFS", args[0], db)
	}
}

// lasts checks the length of a file.
func lasts(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: lasts file min max")
	}
	least, err1 := strconv.ParseFloat(args[1], 64)
	most, err2 := strconv.ParseFloat(args[2], 64)
	ts.Check(errors.Join(err1, err2))
	if got := float64(len(pcm(ts, args[0]))) / 48000; got < least || got > most {
		ts.Fatalf("%s lasts %.2f s, not %v to %v", args[0], got, least, most)
	}
}

// part checks that what was heard is a run of the recording, packet for packet.
func part(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: part heard whole")
	}
	heard, whole := packets(ts, args[0]), packets(ts, args[1])
	if len(heard) == 0 {
		ts.Fatalf("%s holds nothing", args[0])
	}
	for from := range whole {
		if from+len(heard) > len(whole) {
			break
		}
		same := 0
		for same < len(heard) && bytes.Equal(heard[same], whole[from+same]) {
			same++
		}
		if same == len(heard) {
			return
		}
	}
	ts.Fatalf("the %d packets of %s are no run of the %d of %s", len(heard), args[0], len(whole), args[1])
}

func packets(ts *testscript.TestScript, file string) [][]byte {
	var all [][]byte
	reader := ogg.NewReader(bytes.NewReader([]byte(ts.ReadFile(file))))
	for {
		p, err := reader.Next()
		if err == io.EOF {
			return all
		}
		ts.Check(err)
		all = append(all, bytes.Clone(p.Data))
	}
}

// alpn looks at the protocol that the server chooses.
func alpn(ts *testscript.TestScript, neg bool, args []string) {
	config := serverOf(ts).http.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	conn, err := tls.Dial("tcp", ts.Getenv("ADDR"), config)
	ts.Check(err)
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; len(args) != 1 || got != args[0] {
		ts.Fatalf("the server chose %q, not %q", got, args)
	}
}

// certificate writes a certificate for 127.0.0.1 that signs itself, and has the
// script's requests trust it.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: certificate cert key")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hustings test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	secret, err := x509.MarshalECPrivateKey(key)
	ts.Check(err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	serverOf(ts).http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
}
