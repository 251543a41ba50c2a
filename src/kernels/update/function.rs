//! The functions that formulas are made of.

/// Functions of numbers. True is 1, false is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// -x
    Neg,
    /// |x|
    Abs,
    /// -1, 0 or 1
    Sign,
    /// √x
    Sqrt,
    /// 1 / √x
    Rsqrt,
    /// x + y
    Add,
    /// x - y
    Sub,
    /// x · y
    Mul,
    /// x / y
    Div,
    /// The larger one; NaN if either is NaN.
    Max,
    /// The smaller one; NaN if either is NaN.
    Min,
    /// x = y
    Eq,
    /// x ≠ y
    Ne,
    /// x < y
    Lt,
    /// x ≤ y
    Le,
    /// x > y
    Gt,
    /// x ≥ y
    Ge,
    /// The second if the first is not 0, otherwise the third.
    Select,
}

/// In the order of their numbers in a program.
pub(super) const FUNCTIONS: [Function; 18] = {
    use Function::{
        Abs, Add, Div, Eq, Ge, Gt, Le, Lt, Max, Min, Mul, Ne, Neg, Rsqrt, Select, Sign, Sqrt, Sub,
    };
    [Neg, Abs, Sign, Sqrt, Rsqrt, Add, Sub, Mul, Div, Max, Min, Eq, Ne, Lt, Le, Gt, Ge, Select]
};
impl Function {
    /// NaN stays NaN, as with XLA.
    #[inline(always)]
    pub(super) fn compute(self, a: &[f32], b: &[f32], c: &[f32], result: &mut [f32]) {
        match self {
            Function::Neg => map(a, result, |a| -a),
            Function::Abs => map(a, result, f32::abs),
            Function::Sign => map(a, result, |a| {
                let negative = if a < 0.0 { -1.0 } else { a };
                if a > 0.0 { 1.0 } else { negative }
            }),
            Function::Sqrt => map(a, result, f32::sqrt),
            Function::Rsqrt => map(a, result, |a| 1.0 / a.sqrt()),
            Function::Add => zip(a, b, result, |a, b| a + b),
            Function::Sub => zip(a, b, result, |a, b| a - b),
            Function::Mul => zip(a, b, result, |a, b| a * b),
            Function::Div => zip(a, b, result, |a, b| a / b),
            Function::Max => zip(a, b, result, |a, b| if a > b || a.is_nan() { a } else { b }),
            Function::Min => zip(a, b, result, |a, b| if a < b || a.is_nan() { a } else { b }),
            Function::Eq => zip(a, b, result, |a, b| holds(a == b)),
            Function::Ne => zip(a, b, result, |a, b| holds(a != b)),
            Function::Lt => zip(a, b, result, |a, b| holds(a < b)),
            Function::Le => zip(a, b, result, |a, b| holds(a <= b)),
            Function::Gt => zip(a, b, result, |a, b| holds(a > b)),
            Function::Ge => zip(a, b, result, |a, b| holds(a >= b)),
            Function::Select => {
                let (a, b, c) = (&a[..result.len()], &b[..result.len()], &c[..result.len()]);
                for i in 0..result.len() {
                    result[i] = if a[i] == 0.0 { c[i] } else { b[i] };
                }
            }
        }
    }
}

#[inline(always)]
fn map(a: &[f32], result: &mut [f32], f: impl Fn(f32) -> f32) {
    let a = &a[..result.len()];
    for i in 0..result.len() {
        result[i] = f(a[i]);
    }
}

#[inline(always)]
fn zip(a: &[f32], b: &[f32], result: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let (a, b) = (&a[..result.len()], &b[..result.len()]);
    for i in 0..result.len() {
        result[i] = f(a[i], b[i]);
    }
}

#[inline(always)]
fn holds(is: bool) -> f32 {
    if is { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_treat_what_is_not_a_number_as_xla_does() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let compute = |function: Function, a: f32, b: f32| {
            let mut result = [5.0];
            function.compute(&[a], &[b], &[7.0], &mut result);
            result[0]
        };
        for function in [Function::Max, Function::Min] {
            assert!(compute(function, nan, 1.0).is_nan() && compute(function, 1.0, nan).is_nan());
        }
        assert_eq!((compute(Function::Max, -inf, 2.0), compute(Function::Min, inf, 2.0)), (2.0, 2.0));
        let sign = |x| compute(Function::Sign, x, 0.0);
        assert_eq!(
            (sign(-inf), sign(3.0), sign(0.0).to_bits(), sign(-0.0).to_bits()),
            (-1.0, 1.0, 0, 1 << 31)
        );
        assert!(sign(nan).is_nan());
        assert_eq!((compute(Function::Ne, nan, nan), compute(Function::Ge, nan, 0.0)), (1.0, 0.0));
        assert_eq!((compute(Function::Select, 0.0, 1.0), compute(Function::Select, 1.0, 2.0)), (7.0, 2.0));
        assert_eq!((compute(Function::Rsqrt, 0.25, 0.0), compute(Function::Sqrt, 9.0, 0.0)), (2.0, 3.0));
    }
}
