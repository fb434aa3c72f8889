#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_switchboard_fuzz::connections::run(data));
