//! What every process tells Prometheus of itself, under the names that it has everywhere.

use super::page::Page;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

/// The process of the router.
#[derive(Debug)]
pub(super) struct Process;

/// What is known of it; nothing where the system does not tell.
#[derive(Debug, Default)]
struct Facts {
    processor_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    open_descriptors: Option<u64>,
    most_descriptors: Option<u64>,
}

impl Facts {
    #[cfg(target_os = "linux")]
    fn of_now() -> Self {
        use procfs::WithCurrentSystemInfo;
        use procfs::process::{LimitValue, Process};

        let Ok(process) = Process::myself() else { return Self::default() };
        let stat = process.stat().ok();
        #[expect(clippy::cast_precision_loss, reason = "for millions of years it is none")]
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        let most = process.limits().ok().map(|limits| limits.max_open_files.soft_limit);
        Self {
            processor_seconds: stat.as_ref().map(|stat| seconds(stat.utime + stat.stime)),
            resident_bytes: stat.as_ref().map(|stat| stat.rss_bytes().get()),
            virtual_bytes: stat.as_ref().map(|stat| stat.vsize),
            open_descriptors: process.fd_count().ok().map(|count| count as u64),
            most_descriptors: most.and_then(|most| match most {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            }),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn of_now() -> Self {
        Self::default()
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (page, facts) = (&mut Page::new(encoder), Facts::of_now());
        if let Some(seconds) = facts.processor_seconds {
            let help = "Processor time of the router, without its servers";
            page.more_seconds("process_cpu_seconds", help, seconds)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Memory that the router holds", facts.resident_bytes),
            ("process_virtual_memory_bytes", "Addresses that the router uses", facts.virtual_bytes),
            ("process_open_fds", "Descriptors that are open", facts.open_descriptors),
            ("process_max_fds", "Descriptors that may be open", facts.most_descriptors),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value.and_then(|value| usize::try_from(value).ok()) {
                page.gauge(name, help, value)?;
            }
        }
        Ok(())
    }
}
