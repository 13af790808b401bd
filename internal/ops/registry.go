package ops

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a program's own registry with the Go and process
// collectors and sidestream_build_info. There is no global one: two programs
// can run in one process, as the demo's do.
func NewRegistry(program, version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sidestream_build_info",
		Help: "Always 1; the labels tell which program this is and how it was built.",
		ConstLabels: prometheus.Labels{
			"program":   program,
			"version":   version,
			"goversion": runtime.Version(),
		},
	}, func() float64 { return 1 })
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
	)
	return registry
}
