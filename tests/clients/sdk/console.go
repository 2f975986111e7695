package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// A guest's serial console: what it says is kept, and its shell is asked one command after another.
type console struct {
	in   *os.File // the monitor's stdin, our end
	lock sync.Mutex
	all  bytes.Buffer
	seen int // of all, up to here, somebody has waited for it
	more chan struct{}
}

func newConsole() (*console, *os.File, *os.File, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	c := &console{in: in, more: make(chan struct{}, 1)}
	go c.take(out)
	return c, theirIn, theirOut, nil
}

func (c *console) take(from io.Reader) {
	piece := make([]byte, 65536)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		c.lock.Lock()
		c.all.Write(bytes.ReplaceAll(piece[:n], []byte("\r"), nil))
		c.lock.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

// What it has said last.
func (c *console) tail() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	all := c.all.Bytes()
	if len(all) > 1500 {
		all = all[len(all)-1500:]
	}
	return string(all)
}

// What is said up to a match, and the match with its groups.
func (c *console) until(mark string, limit time.Duration) (string, []string, error) {
	find := regexp.MustCompile(mark)
	end := time.After(limit)
	for {
		c.lock.Lock()
		rest := c.all.String()[c.seen:]
		c.lock.Unlock()
		if at := find.FindStringSubmatchIndex(rest); at != nil {
			c.seen += at[1]
			return rest[:at[0]], find.FindStringSubmatch(rest), nil
		}
		select {
		case <-c.more:
		case <-end:
			return "", nil, fmt.Errorf("the console does not say %q within %v; it ends:\n%s", mark, limit, c.tail())
		}
	}
}

// Waits for the login shell and makes it one that can be talked to by a program.
func (c *console) login(limit time.Duration) error {
	if _, _, err := c.until(`# $`, limit); err != nil {
		return err
	}
	// One that edits no lines; the mark is not in the command's echo.
	fmt.Fprintf(c.in, "exec sh -c 'stty -echo; PS1= exec sh'\n")
	fmt.Fprintf(c.in, "PS1= PS2=; echo at your ser''vice\n")
	_, _, err := c.until("at your service\n", 60*time.Second)
	return err
}

// What one line of shell prints in the guest; it has to end with status 0.
func (c *console) sh(command string) (string, error) {
	fmt.Fprintf(c.in, "%s\necho minnow-client: done $?\n", command)
	said, match, err := c.until(`minnow-client: done (\d+)\n`, 60*time.Second)
	if err != nil {
		return "", err
	}
	if status, _ := strconv.Atoi(match[1]); status != 0 {
		return said, fmt.Errorf("%q ended with status %d: %s", command, status, said)
	}
	return said, nil
}
