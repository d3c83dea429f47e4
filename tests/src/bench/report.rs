//! Medians, spreads and the lines that say them.

/// Samples of one figure.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The value that this share of the samples is below.
    pub fn quantile(&self, share: f64) -> f64 {
        let sorted = self.sorted();
        let last = sorted.len().saturating_sub(1);
        sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// `median (least-most)`.
    pub fn spread(&self) -> String {
        format!("{:.3} ({:.3}-{:.3})", self.median(), self.quantile(0.0), self.quantile(1.0))
    }

    /// The samples of the same rounds divided by each other.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }
}

/// What the figures were measured on.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':']));
    println!("machine: {cores} cores, {model}");
}

/// The head of a table.
pub fn head(title: &str) {
    println!("\n{title}");
    println!("{:34} {:>26} {:>12}", "", "GB/s: median (least-most)", "CPU s/GB");
}

/// One line of a table.
pub fn row(name: &str, goodput: &Samples, cpu_s_per_gb: Option<f64>) {
    let cpu = cpu_s_per_gb.map_or_else(String::new, |cpu| format!("{cpu:.2}"));
    println!("{name:34} {:>26} {cpu:>12}", goodput.spread());
}

/// A figure for machines, with the spread for people.
pub fn figure(name: &str, samples: &Samples) {
    let (least, most) = (samples.quantile(0.0), samples.quantile(1.0));
    println!("{name}={:.3}; least={least:.3}; most={most:.3};", samples.median());
}

/// A figure that has no spread.
pub fn single(name: &str, value: f64) {
    println!("{name}={value:.3};");
}
