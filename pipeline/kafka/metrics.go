package kafka

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what readers and writers do. Trap: kafka-go's own lag and
// offset are -1 for members of a group, so lag is measured here.
type Metrics struct {
	lag, position          *prometheus.GaugeVec
	stalls, lost           *prometheus.CounterVec
	generations, published prometheus.Counter
	publishErrors          prometheus.Counter
}

// NewMetrics makes the metrics and registers them; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	partition := []string{"topic", "partition"}
	m := &Metrics{
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_kafka_lag_messages",
			Help: "Messages of a held partition that are on the log and not stored yet.",
		}, partition),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "usher_kafka_stored_offset",
			Help: "Offset after the last stored message of a held partition.",
		}, partition),
		stalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_kafka_reader_rebuilds_total",
			Help: "Readers that were rebuilt because they gave nothing although the log had more.",
		}, partition),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "usher_kafka_expired_messages_total",
			Help: "Messages that the log deleted before they were stored.",
		}, partition),
		generations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_kafka_generations_total",
			Help: "Consumer group generations this member took part in.",
		}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_kafka_published_messages_total",
			Help: "Messages acknowledged by all in-sync replicas.",
		}),
		publishErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "usher_kafka_publish_errors_total",
			Help: "Publish calls that failed; callers retry them.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.lag, m.position, m.stalls, m.lost, m.generations, m.published, m.publishErrors)
	}
	return m
}

func (m *Metrics) setLag(topic string, partition int, stored, end int64) {
	p := strconv.Itoa(partition)
	m.lag.WithLabelValues(topic, p).Set(float64(max(end-stored, 0)))
	m.position.WithLabelValues(topic, p).Set(float64(stored))
}

// forget drops the gauges of a partition that somebody else reads now.
func (m *Metrics) forget(topic string, partition int) {
	p := strconv.Itoa(partition)
	m.lag.DeleteLabelValues(topic, p)
	m.position.DeleteLabelValues(topic, p)
}

func (m *Metrics) stalled(topic string, partition int) {
	m.stalls.WithLabelValues(topic, strconv.Itoa(partition)).Inc()
}

func (m *Metrics) expired(topic string, partition int, n int64) {
	m.lost.WithLabelValues(topic, strconv.Itoa(partition)).Add(float64(n))
}
