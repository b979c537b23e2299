//go:build unix

package step_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// A server that updates itself. What stands here in one function is its main.
func ExampleRestart() {
	program, err := step.Begin("") // first of all: it may go back to the old program
	if err != nil {
		log.Print(err) // there may be no way back
	}
	db, err := sqlite.Open(sqlite.Config{Path: "state/upkeep.db"})
	if err != nil {
		log.Fatal(err)
	}
	const version = "1.0.0" // usually set by the build
	key, err := step.ParseKey("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{}
	artifact := step.Artifact{Dir: "state/downloads", Keys: []step.Key{key}}
	u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
		Name:    "demo/app",
		Source:  source.Static(version), // usually a manifest.Source or a github.Source
		Current: func(context.Context) (string, error) { return version, nil },
		Steps: []update.Step{
			step.Download(artifact),
			step.SwapBinary(step.Binary{Artifact: artifact, Try: []string{"-version"}}),
			step.Restart(program, program.Shutdown(server)),
		},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	l, err := program.Listen("tcp", ":8080") // that of the process before, if there is one
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	if err := program.Confirm(); err != nil { // this release serves, and may stay
		log.Fatal(err)
	}
	log.Fatal(u.Run(context.Background())) // ends the update that has brought it
}

func ExampleSwapBinary() {
	dir, remove := temp()
	defer remove()
	program := filepath.Join(dir, "app")
	os.WriteFile(program, []byte("#!/bin/sh\necho this is 1.0.0\n"), 0o755)
	say := func() {
		out, err := exec.Command(program).Output()
		fmt.Print(string(out))
		if err != nil {
			fmt.Println(err)
		}
	}
	artifact := step.Artifact{Dir: filepath.Join(dir, "downloads")}
	steps := []update.Step{
		step.Download(artifact),
		step.SwapBinary(step.Binary{Path: program, Artifact: artifact}),
	}
	say()
	installRelease(dir, "#!/bin/sh\necho this is 1.1.0\n", steps...)
	say()
	installRelease(dir, "#!/bin/sh\nexit 1\n", append(steps, step.Command(step.Exec{Args: []string{program}}))...)
	say()
	// Output:
	// this is 1.0.0
	// succeeded
	// this is 1.1.0
	// rolled_back
	// this is 1.1.0
}

func ExampleDownload() {
	dir, remove := temp()
	defer remove()
	artifact := step.Artifact{Dir: filepath.Join(dir, "downloads")}
	installRelease(dir, "something new", step.Download(artifact), update.Step{
		Name: "install", Do: func(_ context.Context, t *update.Task) error {
			data, err := os.ReadFile(artifact.File(t))
			fmt.Println(string(data))
			return err
		},
	})
	// Output:
	// something new
	// succeeded
}
