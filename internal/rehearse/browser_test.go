package rehearse

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestThePageInABrowser: it asks for nothing, fits a phone and reads in the dark.
// Where HUSTINGS_SCREENSHOTS names a folder, pictures are kept there.
func TestThePageInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Chromium")
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(pageOf(t, newTestResult(t, nil))), 0o600); err != nil {
		t.Fatal(err)
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1280} {
			name := fmt.Sprintf("%s-%d", scheme, width)
			if err := chromedp.Do(ctx, prefers(scheme), chromedp.EmulateViewport(width, 900)); err != nil {
				t.Fatal(err)
			}
			wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
			if err != nil || wide > width {
				t.Errorf("%s: the page is %d px wide (%v)", name, wide, err)
			}
			asked, err := chromedp.Run(ctx, chromedp.Evaluate[int](`performance.getEntriesByType("resource").length`))
			if err != nil || asked != 0 {
				t.Errorf("%s: it asks for %d things (%v)", name, asked, err)
			}
			keep(t, ctx, name)
		}
	}
}

// prefers switches the page between "light" and "dark".
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

func keep(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("HUSTINGS_SCREENSHOTS")
	if folder == "" {
		return
	}
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(90))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "rehearsal-"+name+".jpg"), shot, 0o644); err != nil {
		t.Fatal(err)
	}
}
