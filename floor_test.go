// Package hustings holds no code of its own. Its test holds the architecture:
// which room stands on which floor, that imports go down only, which room may
// touch which library, and how large things may grow.
package hustings

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors is the table of ARCHITECTURE.md. A room may import rooms on lower floors only.
var floors = map[string]int{
	"cmd/hustings": 7,

	"internal/node":     6,
	"internal/rehearse": 6,

	"internal/web":   5,
	"internal/crowd": 5,

	"internal/desk":   4,
	"internal/socket": 4,
	"internal/client": 4,
	"internal/live":   4,
	"internal/edge":   4,
	"internal/permit": 4,

	"internal/stage":     3,
	"internal/broadcast": 3,
	"internal/archive":   3,
	"internal/aac":       3,
	"internal/reach":     3,
	"internal/hearing":   3,

	"internal/programme": 2,
	"internal/mix":       2,
	"internal/rtc":       2,
	"internal/ear":       2,
	"internal/seats":     2,
	"internal/store":     2,
	"internal/blob":      2,
	"internal/bus":       2,
	"internal/tape":      2,
	"internal/problem":   2,

	"internal/wire":  1,
	"internal/space": 1,
	"internal/reel":  1,
	"internal/tally": 1,

	"internal/delivery": 0,
	"internal/elastic":  0,
	"internal/hls":      0,

	"internal/opus":   0,
	"internal/ogg":    0,
	"internal/fmp4":   0,
	"internal/jitter": 0,
	"internal/token":  0,
	"internal/split":  0,
	"internal/pages":  0,
	"internal/guard":  0,
	"ui":              0,
}

// walls names, for a library, the only rooms that may import it outside of tests.
var walls = map[string][]string{
	"github.com/pion/webrtc":   {"internal/rtc", "internal/client"},
	"github.com/pion/ice":      {"internal/rtc", "internal/client"},
	"github.com/uptrace/bun":   {"internal/store"},
	"github.com/jackc/pgx":     {"internal/store"},
	"modernc.org/sqlite":       {"internal/store"},
	"database/sql":             {"internal/store"},
	"github.com/nats-io":       {"internal/bus"},
	"gocloud.dev":              {"internal/blob"},
	"github.com/hraban/opus":   {"internal/opus"},
	"net/http":                 {"internal/web", "internal/live", "internal/problem", "internal/client", "internal/reach", "internal/node", "internal/pages", "internal/guard"},
	"golang.org/x/sys/unix":    {"internal/delivery", "internal/crowd", "internal/node"},
	"github.com/charmbracelet": {"internal/rehearse"},
}

// Caps, in lines. A room's own count leaves its tests out.
const (
	maxFile     = 600
	maxFunction = 80
	maxRoom     = 2000
	minRoom     = 200
)

// small names the rooms that may stay below minRoom, and why.
var small = map[string]string{
	"cmd/hustings":     "flags and signals only",
	"internal/opus":    "a thin wrapper over libopus",
	"internal/blob":    "a thin wrapper over gocloud.dev/blob",
	"internal/token":   "one idea",
	"internal/elastic": "one idea",
	"internal/tally":   "one idea",
	"internal/problem": "one idea",
	"ui":               "embeds what the browser's code is built to",
}

type source struct {
	room  string // folder, slash-separated
	path  string
	test  bool
	lines int
	file  *ast.File
	fset  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && (base == "node_modules" || base == "testdata" || (strings.HasPrefix(base, ".") && base != ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		all = append(all, source{
			room: path.Dir(name), path: name, test: strings.HasSuffix(base, "_test.go"),
			lines: strings.Count(string(text), "\n"), file: file, fset: fset,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files: is this the repository?", len(all))
	}
	return all
}

// room returns the room that a folder belongs to: itself, or the nearest folder
// above it that stands in the table.
func room(dir string) string {
	for d := dir; d != "."; d = path.Dir(d) {
		if _, ok := floors[d]; ok {
			return d
		}
	}
	return dir
}

func TestImportsGoDown(t *testing.T) {
	for _, s := range sources(t) {
		if s.room == "." || s.test {
			continue // a test may reach sideways, to try a room with its real neighbours
		}
		own := room(s.room)
		floor, ok := floors[own]
		if !ok {
			t.Errorf("%s: %s stands on no floor: give it one in floors, and a line in ARCHITECTURE.md", s.path, s.room)
			continue
		}
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if inner, ours := strings.CutPrefix(imported, "hustings/"); ours && room(inner) != own {
				if below, known := floors[room(inner)]; !known || below >= floor {
					t.Errorf("%s (floor %d) imports %s (floor %d): declare the small interface that you need and let node connect the two",
						s.path, floor, inner, below)
				}
			}
			if own == "internal/space" && strings.Contains(imported, ".") {
				t.Errorf("%s imports %s: space imports the standard library only", s.path, imported)
			}
		}
	}
}

func TestLibrariesStayBehindTheirWalls(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			for library, rooms := range walls {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.Contains(rooms, room(s.room)) {
					t.Errorf("%s imports %s: only %s may", s.path, imported, strings.Join(rooms, ", "))
				}
			}
		}
	}
}

func TestNothingGrowsPastItsCap(t *testing.T) {
	rooms := map[string]int{}
	for _, s := range sources(t) {
		if s.lines > maxFile {
			t.Errorf("%s has %d lines; split it below %d", s.path, s.lines, maxFile)
		}
		if !s.test && s.room != "." {
			rooms[room(s.room)] += s.lines
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines; split it below %d", s.path, f.Name.Name, n, maxFunction)
			}
		}
	}
	for name, lines := range rooms {
		if lines > maxRoom {
			t.Errorf("%s has %d lines; a room has at most %d", name, lines, maxRoom)
		}
		if _, ok := small[name]; !ok && lines < minRoom {
			t.Errorf("%s has %d lines; a room has at least %d, or a reason in small", name, lines, minRoom)
		}
	}
}

func TestEveryRoomSaysWhatItIs(t *testing.T) {
	vague := []string{"util", "utils", "common", "models", "types", "manager", "helper", "helpers", "misc"}
	said := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || s.room == "." {
			continue
		}
		if slices.Contains(vague, path.Base(s.room)) {
			t.Errorf("%s: name it by what it is about", s.room)
		}
		said[s.room] = said[s.room] || s.file.Doc != nil && len(s.file.Doc.Text()) > 60
	}
	for name, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment that tells what it is and how it is used", name)
		}
	}
}
