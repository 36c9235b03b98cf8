package node

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"hustings/internal/client"
	"hustings/internal/desk"
	"hustings/internal/space"
	"hustings/internal/tape"
)

// recordings are the voices of the demo: see demo/conversation.txt for what they
// say, and demo/make.sh for how they were made.
//
//go:embed demo/*.ogg
var recordings embed.FS

// demoSpace is the id of the demo's only space, so that its link is always the same.
const demoSpace space.ID = "demo"

// demoMarker is the file that tells a demo's folder from one that must be kept.
const demoMarker = "this-is-a-demo"

// voice is one of those who talk in the demo.
type voice struct {
	file string
	name string
	role space.Role
}

func voices() []voice {
	return []voice{
		{"demo/host.ogg", "Ruth Adeyemi", space.Host},
		{"demo/councillor.ogg", "Cllr Daniel Price", space.Speaker},
		{"demo/caller.ogg", "Thomas, Mill Lane", space.Speaker},
	}
}

// DemoLinks are what a demo has to offer.
type DemoLinks struct {
	Listen string // the listener's page
	Host   string // the studio, as a host
	Stage  string // the studio, as a speaker
	Ogg    string // the stream for players
}

// Demo is Run with one live space in which three voices talk without end. Each of
// them comes by WHIP, with an invite of its own, as any speaker does. The data
// folder is the demo's own, and made anew: tell is called once the voices are on
// the air.
func (n *Node) Demo(ctx context.Context, tell func(DemoLinks)) error {
	return n.run(ctx, func(ctx context.Context, w *wiring) error {
		d := &demo{wiring: w, owner: desk.Who{Owner: true}, log: w.logger("demo")}
		if err := d.begin(ctx, tell); err != nil && ctx.Err() == nil {
			return err
		}
		<-ctx.Done() // a space that its host has ended is still there to be seen
		d.speaking.Wait()
		return nil
	})
}

// becomeDemo takes away the spaces of an earlier demo in the folder. Keys and the
// owner's token stay, so that whoever was signed in still is. The spaces of a server
// that is no demo are left alone, and so is everything else.
func (f *folder) becomeDemo() error {
	_, err := os.Stat(f.file(demoMarker))
	own := err == nil
	for _, name := range []string{"hustings.db", "hustings.db-wal", "hustings.db-shm", "programme", "recordings"} {
		if _, err := os.Lstat(f.file(name)); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if !own {
			return fmt.Errorf("--data %s holds spaces that are not those of a demo, which would be lost: name another folder", f.path)
		}
		if err := os.RemoveAll(f.file(name)); err != nil {
			return fmt.Errorf("cannot make the demo anew: %w", err)
		}
	}
	if err := os.WriteFile(f.file(demoMarker), []byte("Each `hustings demo` makes the spaces in this folder anew.\n"), 0o600); err != nil {
		return fmt.Errorf("the data folder cannot be written to: %w", err)
	}
	return nil
}

// demo is the conversation of one Demo.
type demo struct {
	*wiring
	owner    desk.Who
	log      *slog.Logger
	speaking sync.WaitGroup
}

// begin announces the space, brings the voices on stage and starts it.
func (d *demo) begin(ctx context.Context, tell func(DemoLinks)) error {
	sp, err := space.New(demoSpace, space.Draft{
		Title:       "The Riverside Hour: the footbridge at Mill Lane",
		Description: "Ruth Adeyemi talks with Councillor Daniel Price about the bridge that has been closed since March, and a caller from Mill Lane has a question. A demonstration: the voices are synthetic, and begin anew when they are through.",
	}, time.Now().UTC())
	if err != nil {
		return err
	}
	if err := d.store.Add(ctx, sp); err != nil {
		return err
	}
	if _, err := d.desk.Open(ctx, d.owner, demoSpace); err != nil {
		return err
	}
	links, err := d.links(ctx)
	if err != nil {
		return err
	}
	if err := d.speak(ctx); err != nil {
		return err
	}
	if _, err := d.desk.Start(ctx, d.owner, demoSpace, true); err != nil {
		return err
	}
	tell(links)
	return nil
}

// connectWithin is how long the voices have to come on stage, which they share a
// machine with.
const connectWithin = 15 * time.Second

// speak brings the voices on stage and returns when all of them are there.
func (d *demo) speak(ctx context.Context) error {
	// The same for all, so that they answer each other instead of talking at once.
	begin := time.Now().Add(time.Second)
	on := make(chan error, len(voices()))
	for _, v := range voices() {
		issued, err := d.desk.Invite(ctx, d.owner, demoSpace, v.role, v.name)
		if err != nil {
			return err
		}
		file, err := recordings.ReadFile(v.file)
		if err != nil {
			return err
		}
		source, err := tape.NewLoop(file)
		if err != nil {
			return fmt.Errorf("%s: %w", v.file, err)
		}
		var once sync.Once // of all the times that it connects
		arrived := func(err error) { once.Do(func() { on <- err }) }
		d.speaking.Go(func() {
			_, err := client.Publish(ctx, client.PublishOptions{
				URL: d.addresses().URL + "/s/" + string(demoSpace), Token: issued.Token,
				Source: source, Begin: begin, Connected: func() { arrived(nil) }, Logger: d.log,
			})
			if ctx.Err() == nil {
				d.log.Warn("a voice has left the demo", "name", v.name, "reason", err)
				arrived(err)
			}
		})
	}
	timeout := time.After(connectWithin)
	for range voices() {
		select {
		case err := <-on:
			if err != nil {
				return fmt.Errorf("the voices cannot come on stage: %w", err)
			}
		case <-timeout:
			return fmt.Errorf("the voices did not come on stage within %v", connectWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// links makes invites for whoever runs the demo, to look behind the stage.
func (d *demo) links(ctx context.Context) (DemoLinks, error) {
	base := d.addresses().Public
	links := DemoLinks{Listen: base + "/s/" + string(demoSpace), Ogg: base + "/live/" + string(demoSpace) + ".ogg"}
	for _, seat := range []struct {
		link *string
		role space.Role
		name string
	}{{&links.Host, space.Host, "You (host)"}, {&links.Stage, space.Speaker, "You"}} {
		issued, err := d.desk.Invite(ctx, d.owner, demoSpace, seat.role, seat.name)
		if err != nil {
			return links, err
		}
		*seat.link = base + "/studio/" + string(demoSpace) + "#token=" + issued.Token
	}
	return links, nil
}
