fn main() {
    let c = xla::PjRtClient::cpu().unwrap();
    println!("{} {}", c.platform_name(), c.platform_version());
}
