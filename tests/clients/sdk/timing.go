package main

import (
	"fmt"
	"sort"
	"sync"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	"github.com/firecracker-microvm/firecracker-go-sdk/client"
	"github.com/go-openapi/runtime"
	"github.com/go-openapi/strfmt"
	"github.com/sirupsen/logrus"
)

// The SDK's own way to the API's socket, with a clock.
type timed struct {
	runtime.ClientTransport
	lock  sync.Mutex
	calls map[string][]time.Duration
}

func (t *timed) Submit(op *runtime.ClientOperation) (interface{}, error) {
	start := time.Now()
	result, err := t.ClientTransport.Submit(op)
	took := time.Since(start)
	// What finds nobody listening yet was no call.
	if err == nil || took > 100*time.Millisecond {
		t.lock.Lock()
		name := op.Method + " " + op.PathPattern
		t.calls[name] = append(t.calls[name], took)
		t.lock.Unlock()
	}
	return result, err
}

// A client with the SDK's own timeouts.
func timedClient(socket string, log *logrus.Entry) (*firecracker.Client, *timed) {
	t := &timed{
		ClientTransport: firecracker.NewUnixSocketTransport(socket, log, false),
		calls:           map[string][]time.Duration{},
	}
	api := client.NewHTTPClient(strfmt.NewFormats())
	api.SetTransport(t)
	return firecracker.NewClient(socket, log, false, firecracker.WithOpsClient(api.Operations)), t
}

func (t *timed) tell() {
	t.lock.Lock()
	defer t.lock.Unlock()
	var names []string
	for name := range t.calls {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var longest time.Duration
		for _, took := range t.calls[name] {
			if took > longest {
				longest = took
			}
		}
		fmt.Printf("call %-36s %2d times, at most %6.1f ms\n", name, len(t.calls[name]),
			float64(longest.Microseconds())/1000)
	}
}
