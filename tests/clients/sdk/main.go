// What users of the published Go SDK do with Firecracker, done with minnow: a Debian guest from its
// disk, network, metadata, vsock, a drive swapped, balloon, pause, and the end by Ctrl-Alt-Del; in a
// jail or without. The SDK's own timeouts hold. Runs as root on a machine with KVM; tests/clients/run
// starts it.
//
// Prints "ok - STEP" or "not ok - STEP" for each step, "call METHOD PATH ..." for the time that the
// API's answers took, and "# ..." for what went wrong. The steps after one that failed are not tried.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	firecracker "github.com/firecracker-microvm/firecracker-go-sdk"
	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"
	"github.com/firecracker-microvm/firecracker-go-sdk/vsock"
	"github.com/sirupsen/logrus"
)

const (
	hostIP, guestIP = "10.98.0.1", "10.98.0.2"
	echoPort        = 1024
	jailUser        = 1234
	jailID          = "sdk-jailed"
	emptyDrive      = "swap"
	swapBytes       = 3 * 1024 * 1024
)

var (
	program = flag.String("firecracker", "", "minnow under the name firecracker")
	jailer  = flag.String("jailer", "", "the jailer; empty: no jail")
	kernel  = flag.String("kernel", "", "the guest's kernel")
	initrd  = flag.String("initrd", "", "with the kernel's modules")
	root    = flag.String("root", "", "the guest's disk")
	work    = flag.String("work", "", "a folder of the same file system")
	tap     = flag.String("tap", "", "a tap with the address "+hostIP)
	cgroup  = flag.String("cgroup", "2", "the version of the host's control groups")
	limit   = flag.Duration("boot", 3*time.Minute, "for the guest's boot")
)

// What the steps share.
type run struct {
	ctx     context.Context
	m       *firecracker.Machine
	guest   *console
	calls   *timed
	inside  string // how the monitor sees the work folder
	outside string // where its files are
	log     strings.Builder
	metrics *os.File // the FIFO's other end
}

func main() {
	flag.Parse()
	r := &run{ctx: context.Background()}
	steps := []struct {
		name string
		do   func() error
	}{
		{"the SDK starts a machine", r.start},
		{"it is called running", r.describe},
		{"a Debian guest comes up from its disk", r.boot},
		{"the guest has the address the SDK gave it", r.network},
		{"the guest reads its metadata", r.metadata},
		{"a service in the guest is dialled by vsock", r.vsock},
		{"a drive is swapped while the guest runs", r.swap},
		{"the balloon takes memory and tells statistics", r.balloon},
		{"a paused guest is silent until it is resumed", r.pause},
		{"Ctrl-Alt-Del ends guest and monitor with status 0", r.shutdown},
		{"the log went into the FIFO, metrics into theirs", r.told},
	}
	failed := false
	for _, step := range steps {
		begin := time.Now()
		err := step.do()
		took := time.Since(begin).Seconds()
		if err != nil {
			fmt.Printf("# %s\n", strings.ReplaceAll(err.Error(), "\n", "\n# "))
			fmt.Printf("not ok - %s # %.1f s\n", step.name, took)
			failed = true
			break
		}
		fmt.Printf("ok - %s # %.1f s\n", step.name, took)
	}
	if r.calls != nil {
		r.calls.tell()
	}
	if failed {
		log := r.log.String()
		if len(log) > 3000 {
			log = log[len(log)-3000:]
		}
		fmt.Printf("# the log ends: %s\n", strings.ReplaceAll(log, "\n", "\n# "))
		if r.m != nil {
			_ = r.m.StopVMM()
		}
		os.Exit(1)
	}
}

func path(parts ...string) string { return filepath.Join(parts...) }

// A file of the work folder as its user would hand it over.
func (r *run) file(name string, size int64) (string, error) {
	full := path(*work, name)
	file, err := os.Create(full)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if err := os.Chmod(full, 0666); err != nil {
		return "", err
	}
	return full, file.Truncate(size)
}

func (r *run) config() (firecracker.Config, error) {
	stub, err := r.file("stub", 0)
	if err != nil {
		return firecracker.Config{}, err
	}
	_, mask, _ := net.ParseCIDR(hostIP + "/24")
	drives := []models.Drive{{
		DriveID:      firecracker.String("root_drive"),
		PathOnHost:   root,
		IsRootDevice: firecracker.Bool(true),
		IsReadOnly:   firecracker.Bool(true),
	}, {
		DriveID:      firecracker.String(emptyDrive),
		PathOnHost:   &stub,
		IsRootDevice: firecracker.Bool(false),
		IsReadOnly:   firecracker.Bool(false),
		RateLimiter: &models.RateLimiter{Bandwidth: &models.TokenBucket{
			Size: firecracker.Int64(64 << 20), RefillTime: firecracker.Int64(100)}},
	}}
	return firecracker.Config{
		SocketPath:      path(r.inside, "api.sock"),
		LogFifo:         path(*work, "log.fifo"),
		LogLevel:        "Info",
		MetricsFifo:     path(*work, "metrics.fifo"),
		FifoLogWriter:   &r.log,
		KernelImagePath: *kernel,
		InitrdPath:      *initrd,
		KernelArgs:      "console=ttyS0 reboot=k panic=1 pci=off quiet minnow.nomark",
		Drives:          drives,
		NetworkInterfaces: firecracker.NetworkInterfaces{{
			StaticConfiguration: &firecracker.StaticNetworkConfiguration{
				MacAddress:  "06:00:0a:62:00:02",
				HostDevName: *tap,
				IPConfiguration: &firecracker.IPConfiguration{
					IPAddr:  net.IPNet{IP: net.ParseIP(guestIP), Mask: mask.Mask},
					Gateway: net.ParseIP(hostIP),
					IfName:  "eth0",
				},
			},
			AllowMMDS: true,
		}},
		VsockDevices: []firecracker.VsockDevice{{ID: "agent", Path: path(r.inside, "v.sock"), CID: 3}},
		MachineCfg: models.MachineConfiguration{
			VcpuCount:  firecracker.Int64(2),
			MemSizeMib: firecracker.Int64(512),
		},
		VMID: "sdk-machine",
	}, nil
}

func (r *run) start() error {
	r.inside, r.outside = *work, *work
	if *jailer != "" {
		r.inside, r.outside = "/", path(*work, "jails", filepath.Base(*program), jailID, "root")
	}
	config, err := r.config()
	if err != nil {
		return err
	}
	guest, in, out, err := newConsole()
	if err != nil {
		return err
	}
	r.guest = guest
	log := logrus.New()
	log.SetOutput(io.Discard)
	entry := logrus.NewEntry(log)
	client, calls := timedClient(path(r.outside, "api.sock"), entry)
	r.calls = calls
	options := []firecracker.Opt{firecracker.WithLogger(entry), firecracker.WithClient(client)}
	if *jailer != "" {
		if err := os.Mkdir(path(*work, "jails"), 0755); err != nil {
			return err
		}
		config.MmdsVersion = firecracker.MMDSv1
		config.JailerCfg = &firecracker.JailerConfig{
			UID:            firecracker.Int(jailUser),
			GID:            firecracker.Int(jailUser),
			ID:             jailID,
			NumaNode:       firecracker.Int(0),
			ExecFile:       *program,
			JailerBinary:   *jailer,
			ChrootBaseDir:  path(*work, "jails"),
			ChrootStrategy: firecracker.NewNaiveChrootStrategy(*kernel),
			CgroupVersion:  *cgroup,
			Stdin:          in,
			Stdout:         out,
			Stderr:         os.Stdout,
		}
	} else {
		config.MmdsVersion = firecracker.MMDSv2
		config.Seccomp.Enabled = true
		command := firecracker.VMCommandBuilder{}.WithBin(*program).WithSocketPath(config.SocketPath).
			AddArgs("--id", config.VMID).WithStdin(in).WithStdout(out).WithStderr(os.Stdout).Build(r.ctx)
		options = append(options, firecracker.WithProcessRunner(command))
	}
	r.m, err = firecracker.NewMachine(r.ctx, config, options...)
	if err != nil {
		return err
	}
	r.m.Handlers.FcInit = r.m.Handlers.FcInit.AppendAfter(firecracker.CreateMachineHandlerName,
		firecracker.NewCreateBalloonHandler(0, true, 1))
	if err := r.m.Start(r.ctx); err != nil {
		return err
	}
	r.metrics, err = os.OpenFile(path(*work, "metrics.fifo"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return err
}

func (r *run) describe() error {
	info, err := r.m.DescribeInstanceInfo(r.ctx)
	if err != nil {
		return err
	}
	id := "sdk-machine"
	if *jailer != "" {
		id = jailID
	}
	if *info.State != models.InstanceInfoStateRunning || *info.AppName != "Firecracker" || *info.ID != id {
		return fmt.Errorf("state %s, app %s, id %s", *info.State, *info.AppName, *info.ID)
	}
	version, err := r.m.GetFirecrackerVersion(r.ctx)
	if err == nil && (version == "" || version != *info.VmmVersion) {
		err = fmt.Errorf("its version is %q and %q", version, *info.VmmVersion)
	}
	return err
}

func (r *run) boot() error {
	if err := r.guest.login(*limit); err != nil {
		return err
	}
	said, err := r.guest.sh("findmnt -n -o SOURCE,FSTYPE / && cat /etc/debian_version")
	if err == nil && !strings.HasPrefix(strings.Join(strings.Fields(said), " "), "/dev/vda ext4 12") {
		err = fmt.Errorf("the root is %q", said)
	}
	return err
}

func (r *run) network() error {
	listener, err := net.Listen("tcp", hostIP+":0")
	if err != nil {
		return err
	}
	defer listener.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		said, _ := io.ReadAll(conn)
		heard <- conn.RemoteAddr().(*net.TCPAddr).IP.String() + " " + string(said)
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	if _, err := r.guest.sh(fmt.Sprintf("echo here I am | socat -u - TCP:%s:%d", hostIP, port)); err != nil {
		return err
	}
	if said := <-heard; said != guestIP+" here I am\n" {
		return fmt.Errorf("the host heard %q", said)
	}
	return nil
}

// A request of the metadata service in bash alone, of the three words that it is called with.
const ask = `ask() { exec 3<>/dev/tcp/169.254.169.254/80; printf "%s %s HTTP/1.1\r\n%s\r\n\r\n" "$1" "$2" "$3" >&3; ` +
	`n=0; while IFS= read -r -t 20 l <&3 && l=${l%?} && [ -n "$l" ]; do case ${l,,} in content-length:*) n=${l#*:};; esac; ` +
	`done; read -r -t 20 -N $n body <&3; printf %s "$body"; }`

func (r *run) metadata() error {
	if err := r.m.SetMetadata(r.ctx, map[string]interface{}{
		"role": map[string]string{"name": "a client's guest"}, "gone": 1}); err != nil {
		return err
	}
	if err := r.m.UpdateMetadata(r.ctx, map[string]interface{}{"gone": nil, "more": "later"}); err != nil {
		return err
	}
	var stored map[string]interface{}
	if err := r.m.GetMetadata(r.ctx, &stored); err != nil {
		return err
	}
	if len(stored) != 2 || stored["more"] != "later" {
		return fmt.Errorf("the host reads %v", stored)
	}
	script := ask + "\n"
	if *jailer == "" { // version 2
		script += `token=$(ask PUT /latest/api/token "X-metadata-token-ttl-seconds: 60")` + "\n" +
			`ask GET /role/name "X-metadata-token: $token"; echo; ask GET /more "X-metadata-token: $token"` + "\n"
	} else {
		script += `ask GET /role/name "Accept: */*"; echo; ask GET /more "Host: 169.254.169.254"` + "\n"
	}
	said, err := r.guest.sh("ip route add 169.254.169.254 dev eth0 && bash <<'END'\n" + script + "echo\nEND")
	if err == nil && said != "a client's guest\nlater\n" {
		err = fmt.Errorf("the guest reads %q", said)
	}
	return err
}

func (r *run) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
	defer cancel()
	return vsock.DialContext(ctx, path(r.outside, "v.sock"), echoPort)
}

func echo(conn net.Conn, text string, limit time.Duration) error {
	if _, err := conn.Write([]byte(text)); err != nil {
		return err
	}
	return hear(conn, text, limit)
}

func hear(conn net.Conn, text string, limit time.Duration) error {
	back := make([]byte, len(text))
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("%q came back as %q", text, back)
	}
	return nil
}

func (r *run) vsock() error {
	if _, err := r.guest.sh(fmt.Sprintf("vsock-echo %d >/dev/null 2>&1 &", echoPort)); err != nil {
		return err
	}
	conn, err := r.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return echo(conn, strings.Repeat("to the guest and back\n", 1000), 30*time.Second)
}

func (r *run) swap() error {
	if said, err := r.guest.sh("cat /sys/block/vdb/size"); err != nil || said != "0\n" {
		return fmt.Errorf("the empty drive has %q sectors, %v", said, err)
	}
	full, err := r.file("real", swapBytes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(full, []byte(strings.Repeat("of the host", swapBytes/11)), 0666); err != nil {
		return err
	}
	name := path(r.inside, "real")
	if *jailer != "" {
		if err := os.Link(full, path(r.outside, "real")); err != nil {
			return err
		}
	}
	if err := r.m.UpdateGuestDrive(r.ctx, emptyDrive, name); err != nil {
		return err
	}
	said, err := r.guest.sh(fmt.Sprintf("n=0; until [ $(cat /sys/block/vdb/size) = %d ] || [ $n = 100 ]; do "+
		"n=$((n + 1)); sleep 0.1; done; head -c 11 /dev/vdb; echo; "+
		"printf 'of the guest' | dd of=/dev/vdb conv=fsync,notrunc 2>/dev/null", swapBytes/11*11/512))
	if err != nil {
		return err
	}
	back, err := os.ReadFile(full)
	if err == nil && (said != "of the host\n" || !strings.HasPrefix(string(back), "of the guest")) {
		err = fmt.Errorf("the guest reads %q, the host %q", said, back[:20])
	}
	return err
}

func (r *run) balloon() error {
	if err := r.m.UpdateBalloon(r.ctx, 64); err != nil {
		return err
	}
	var stats models.BalloonStats
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var err error
		if stats, err = r.m.GetBalloonStats(r.ctx); err != nil {
			return err
		}
		if *stats.ActualMib == 64 && stats.FreeMemory > 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("of 64 MiB it has %d; free: %d", *stats.ActualMib, stats.FreeMemory)
		}
	}
	if stats.TotalMemory < 300<<20 || stats.TotalMemory > 512<<20 || stats.AvailableMemory < stats.FreeMemory/2 {
		return fmt.Errorf("memory: %d in all, %d available, %d free", stats.TotalMemory,
			stats.AvailableMemory, stats.FreeMemory)
	}
	if err := r.m.UpdateBalloonStats(r.ctx, 2); err != nil {
		return err
	}
	config, err := r.m.GetBalloonConfig(r.ctx)
	if err == nil && (*config.AmountMib != 64 || config.StatsPollingIntervals != 2 || !*config.DeflateOnOom) {
		err = fmt.Errorf("the balloon is said to have %d MiB, %d s", *config.AmountMib, config.StatsPollingIntervals)
	}
	if err == nil {
		err = r.m.UpdateBalloon(r.ctx, 0)
	}
	return err
}

func (r *run) pause() error {
	conn, err := r.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := echo(conn, "before", 20*time.Second); err != nil {
		return err
	}
	if err := r.m.PauseVM(r.ctx); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("between")); err != nil {
		return err
	}
	if err := hear(conn, "between", 2*time.Second); err == nil || !os.IsTimeout(err) {
		return fmt.Errorf("while paused: %v", err)
	}
	if info, err := r.m.DescribeInstanceInfo(r.ctx); err != nil {
		return err
	} else if *info.State != models.InstanceInfoStatePaused {
		return fmt.Errorf("paused, it is called %s", *info.State)
	}
	if err := r.m.ResumeVM(r.ctx); err != nil {
		return err
	}
	if err := hear(conn, "between", 20*time.Second); err != nil {
		return err
	}
	return echo(conn, "after", 20*time.Second)
}

func (r *run) shutdown() error {
	if err := r.m.Shutdown(r.ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, 90*time.Second)
	defer cancel()
	if err := r.m.Wait(ctx); err != nil {
		return fmt.Errorf("%v; the console ends:\n%s", err, r.guest.tail())
	}
	return nil
}

func (r *run) told() error {
	if !strings.Contains(r.log.String(), "build microvm for boot") {
		return fmt.Errorf("the log is %q", r.log.String())
	}
	// Each line counts from the one before.
	var line struct {
		Put   map[string]interface{} `json:"put_api_requests"`
		Block map[string]interface{} `json:"block"`
	}
	lines := json.NewDecoder(r.metrics)
	count, puts, reads := 0, 0.0, 0.0
	for ; lines.More(); count++ {
		if err := lines.Decode(&line); err != nil {
			return err
		}
		put, _ := line.Put["drive_count"].(float64)
		read, _ := line.Block["read_count"].(float64)
		puts, reads = puts+put, reads+read
	}
	if count == 0 || puts != 2 || reads < 100 {
		return fmt.Errorf("%d lines of metrics, with %g drives put and %g reads", count, puts, reads)
	}
	return nil
}
