// Package check is what each program ends with.
package check

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Must ends the program where there is an error.
func Must(err error) {
	if err != nil {
		fail(err.Error())
	}
}

// That ends the program where something isn't so.
func That(holds bool) {
	if !holds {
		fail("found another value")
	}
}

// Eventually waits a minute for something to be so.
func Eventually(holds func() bool) {
	for range 600 {
		if holds() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	fail("it didn't come")
}

// Passed prints the version of a library that this program was built with.
func Passed(module string) {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == module {
			line, _ := json.Marshal(map[string]string{"version": dependency.Version})
			fmt.Println(string(line))
			return
		}
	}
	fail("the program wasn't built with " + module)
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
