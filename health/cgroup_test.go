package health

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCgroup(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, d Detector, look func() (float64, error), value float64, bad bool) {
		t.Helper()
		if got, err := look(); got != value || (err != nil) != bad {
			t.Errorf("%s, %s: %v, %v; want %v, bad %v", what, d.name, got, err, value, bad)
		}
	}
	memory, pids, cpu := cgroupMemory(dir, 0.9), cgroupPids(dir, 0.5), cpuThrottled(dir, 0.25)
	lookMemory, lookPids, lookCPU := memory.measure(), pids.measure(), cpu.measure()
	want("no cgroup", memory, lookMemory, 0, false)
	want("no cgroup", pids, lookPids, 0, false)
	want("no cgroup", cpu, lookCPU, 0, false)

	write("memory.max", "max\n")
	want("no limit", memory, lookMemory, 0, false)
	write("memory.max", "1000\n")
	write("memory.current", "950\n")
	write("memory.stat", "anon 1\ninactive_file 150\n")
	want("page cache", memory, lookMemory, 0.8, false)
	write("memory.stat", "anon 1\ninactive_file 0\n")
	want("nearly full", memory, lookMemory, 0.95, true)
	write("memory.current", "lots\n")
	want("not a number", memory, lookMemory, 0, true)

	write("pids.max", "100\n")
	write("pids.current", "51\n")
	want("many", pids, lookPids, 0.51, true)

	write("cpu.stat", "usage_usec 5\nnr_periods 100\nnr_throttled 90\n")
	want("the first look with numbers", cpu, lookCPU, 0.9, true) // since 0: it began without
	write("cpu.stat", "usage_usec 5\nnr_periods 200\nnr_throttled 110\n")
	want("a fifth", cpu, lookCPU, 0.2, false)
	want("no time has passed", cpu, lookCPU, 0, false)
	write("cpu.stat", "nonsense\n")
	want("nonsense", cpu, lookCPU, 0, true)

	machine := t.TempDir()
	stalls := pressure(dir, machine, "io", 0.1)
	lookStalls := stalls.measure()
	want("none is counted", stalls, lookStalls, 0, false)
	if err := os.WriteFile(filepath.Join(machine, "io"), []byte("some avg10=5.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("of the machine", stalls, lookStalls, 0.05, false)
	write("io.pressure", "some avg10=25.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0 avg300=0 total=0\n")
	want("of the container", stalls, lookStalls, 0.25, true)
	for _, text := range []string{"", "some", "some avg10=", "some avg10=NaN", "some avg10=1000", "full avg10=1.00"} {
		write("io.pressure", text)
		want("nonsense", stalls, lookStalls, 0, true)
	}
	for _, d := range []Detector{CgroupMemory(0), CgroupPids(2), CPUThrottled(-1), Pressure("io", 0), Pressure("disk", 0.5)} {
		if err := new(Process).Detect(d); err == nil {
			t.Errorf("%s takes any part", d.name)
		}
	}
}
