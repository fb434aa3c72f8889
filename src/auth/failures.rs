//! Those who show what is good for nothing, by their addresses: how often they do.

use crate::access::Pace;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// How often somebody at an address may show what is good for nothing; then he is told to wait.
const PACE: Pace = {
    let often = NonZeroU32::new(10).expect("ten is not zero");
    Pace { per_minute: often, burst: often }
};

/// Addresses of which that is known; when there are more in a minute, all others count together.
const MOST: usize = 4096;

/// Counts who shows what is good for nothing.
#[derive(Debug)]
pub struct Failures<C: Clock = DefaultClock> {
    counted: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, C, NoOpMiddleware<C::Instant>>,
    most: usize,
}

impl Default for Failures {
    fn default() -> Self {
        Self::by(DefaultClock::default(), MOST)
    }
}

impl<C: Clock> Failures<C> {
    fn by(clock: C, most: usize) -> Self {
        Self { counted: RateLimiter::new(PACE.quota(), HashMapStateStore::default(), clock), most }
    }

    /// Somebody at this address has failed once more.
    ///
    /// # Errors
    /// He does so too often, and is to wait so long.
    pub fn count(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let mut key = address.map_or(OTHERS, network);
        if self.counted.len() >= self.most {
            self.counted.retain_recent();
            if self.counted.len() >= self.most {
                key = OTHERS;
            }
        }
        self.counted.check_key(&key).map_err(|until| until.wait_time_from(self.counted.clock().now()))
    }
}

/// Whose address is not known, or not kept.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What stands for an address: of IPv6 anybody has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_failures_in_a_minute_are_enough_for_an_address_and_no_matter_for_another() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::by(clock.clone(), 100);
        let count = |text: &str| failures.count(Some(address(text)));
        for n in 0..10 {
            assert!(count("10.0.0.1").is_ok(), "{n}");
            assert!(count(&format!("2001:db8::{n}")).is_ok(), "{n}");
        }
        let wait = count("10.0.0.1").unwrap_err();
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
        assert!(count("::ffff:10.0.0.1").is_err(), "it is the same");
        assert!(count("2001:db8::ffff").is_err(), "it is the same network");
        assert!(count("2001:db8:0:1::1").is_ok() && count("10.0.0.2").is_ok());
        clock.advance(wait);
        assert!(count("10.0.0.1").is_ok() && count("10.0.0.1").is_err());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room_than_there_is() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::by(clock.clone(), 50);
        let refused =
            (0u32..10_000).filter(|n| failures.count(Some(IpAddr::V4((*n).into()))).is_err()).count();
        assert!(failures.counted.len() <= 51);
        assert_eq!(refused, 10_000 - 50 - 10, "the others count together");
        clock.advance(Duration::from_mins(2));
        assert!(failures.count(Some(address("10.0.0.1"))).is_ok());
        assert_eq!(failures.counted.len(), 1, "what is long ago is forgotten");
    }
}
