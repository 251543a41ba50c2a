//! Elementwise operations, with broadcasting, and the functions composed of them.

use super::op::{Binary, Comparison, Op, Type, Unary};
use super::{Tensor, infer};
use crate::array::{Array, DType};
use crate::error::Result;

/// The example of an operation that keeps the shape of its operands.
macro_rules! example {
    ($dtype:ident, $call:expr) => {
        concat!(
            "```\nuse neural::{DType, graph::Graph};\n",
            "let x = Graph::new().parameter(DType::",
            stringify!($dtype),
            ", &[3]);\n",
            "assert_eq!(x.",
            $call,
            "?.shape(), [3]);\n",
            "# Ok::<(), neural::Error>(())\n```"
        )
    };
}

macro_rules! unary {
    ($dtype:ident: $($(#[$doc:meta])* $name:ident => $op:ident;)*) => {$(
        $(#[$doc])*
        ///
        #[doc = example!($dtype, concat!(stringify!($name), "()"))]
        ///
        /// # Errors
        /// When the elements are of a type for which it is not defined.
        pub fn $name(&self) -> Result<Tensor> {
            self.graph.apply(Op::Unary(Unary::$op), &[self])
        }
    )*};
}

macro_rules! binary {
    ($dtype:ident: $($(#[$doc:meta])* $name:ident => $op:expr;)*) => {$(
        $(#[$doc])*
        ///
        #[doc = example!($dtype, concat!(stringify!($name), "(&x)"))]
        ///
        /// # Errors
        /// When the shapes do not broadcast to each other or the types differ.
        pub fn $name(&self, other: &Tensor) -> Result<Tensor> {
            self.binary($op, other)
        }
    )*};
}

impl Tensor {
    unary! { F32:
        /// -x
        neg => Neg;
        /// |x|; its gradient at 0 is 0.
        abs => Abs;
        /// -1, 0 or 1.
        sign => Sign;
        /// eˣ
        exp => Exp;
        /// eˣ - 1, exact near 0.
        expm1 => Expm1;
        /// ln x
        log => Log;
        /// ln(1 + x), exact near 0.
        log1p => Log1p;
        /// √x
        sqrt => Sqrt;
        /// 1 / √x
        rsqrt => Rsqrt;
        /// (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)
        tanh => Tanh;
        /// 1 / (1 + e⁻ˣ), the sigmoid.
        logistic => Logistic;
        /// The error function, 2/√π ∫₀ˣ e^(-t²) dt.
        erf => Erf;
        sin => Sin;
        cos => Cos;
        floor => Floor;
        ceil => Ceil;
        /// The nearest whole number, halves away from zero.
        round => Round;
        /// Whether each element is neither infinite nor NaN.
        is_finite => IsFinite;
    }

    unary! { Bool:
        /// Logical negation of `bool`.
        not => Not;
    }

    binary! { F32:
        add => Op::Binary(Binary::Add);
        sub => Op::Binary(Binary::Sub);
        mul => Op::Binary(Binary::Mul);
        div => Op::Binary(Binary::Div);
        /// The remainder, with the sign of the dividend.
        rem => Op::Binary(Binary::Rem);
        /// The larger of two; where they are equal, each gets half of the gradient.
        maximum => Op::Binary(Binary::Max);
        /// The smaller of two; where they are equal, each gets half of the gradient.
        minimum => Op::Binary(Binary::Min);
        /// xʸ
        pow => Op::Binary(Binary::Pow);
        eq => Op::Compare(Comparison::Eq);
        ne => Op::Compare(Comparison::Ne);
        lt => Op::Compare(Comparison::Lt);
        le => Op::Compare(Comparison::Le);
        gt => Op::Compare(Comparison::Gt);
        ge => Op::Compare(Comparison::Ge);
    }

    binary! { Bool:
        and => Op::Binary(Binary::And);
        or => Op::Binary(Binary::Or);
        xor => Op::Binary(Binary::Xor);
    }

    fn binary(&self, op: Op, other: &Tensor) -> Result<Tensor> {
        let shape = infer::broadcast(&op.name(), self.shape(), other.shape())?;
        self.graph.apply(op, &[&self.broadcast_to(&shape)?, &other.broadcast_to(&shape)?])
    }

    /// A constant of this tensor's type and shape.
    ///
    /// # Errors
    /// None today; every operation has this signature.
    pub fn full_like(&self, value: f64) -> Result<Tensor> {
        self.graph.full(self.dtype(), self.shape(), value)
    }

    /// A scalar constant of this tensor's element type.
    #[must_use]
    pub fn scalar_like(&self, value: f64) -> Tensor {
        self.graph.constant(Array::full(self.dtype(), &[], value))
    }

    /// max(x, 0); its slope at 0 is 0.
    ///
    /// # Errors
    /// When the elements are `bool`.
    pub fn relu(&self) -> Result<Tensor> {
        let zero = self.scalar_like(0.0);
        self.gt(&zero)?.select(self, &zero)
    }

    /// `self ? on_true : on_false`, element by element; the three broadcast to each other.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[3]);
    /// let zero = x.full_like(0.0)?;
    /// assert_eq!(x.gt(&zero)?.select(&x, &zero)?.ty(), x.ty());
    /// assert!(x.select(&x, &zero).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `self` is not `bool`, or shapes or types do not fit.
    pub fn select(&self, on_true: &Tensor, on_false: &Tensor) -> Result<Tensor> {
        let shape = infer::broadcast("select", on_true.shape(), on_false.shape())?;
        let shape = infer::broadcast("select", &shape, self.shape())?;
        let inputs =
            [self.broadcast_to(&shape)?, on_true.broadcast_to(&shape)?, on_false.broadcast_to(&shape)?];
        self.graph.apply(Op::Select, &[&inputs[0], &inputs[1], &inputs[2]])
    }

    /// The elements in another type; floats become whole numbers by truncation.
    ///
    /// # Errors
    /// None today; every operation has this signature.
    pub fn convert(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        Ok(self.graph.insert(Op::Convert, &[self], Type::new(dtype, self.shape())))
    }

    /// The same value, through which no gradient flows.
    ///
    /// # Errors
    /// None today; every operation has this signature.
    pub fn stop_gradient(&self) -> Result<Tensor> {
        self.graph.apply(Op::StopGradient, &[self])
    }

    /// x limited to `[low, high]`; no gradient flows where it was cut.
    ///
    /// # Errors
    /// When the elements are `bool`.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Tensor> {
        let (low, high) = (self.scalar_like(low), self.scalar_like(high));
        self.lt(&low)?.select(&low, &self.gt(&high)?.select(&high, self)?)
    }

    /// x²
    ///
    /// # Errors
    /// When the elements are `bool`.
    pub fn square(&self) -> Result<Tensor> {
        self * self
    }

    /// ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|), which neither overflows nor loses small values.
    ///
    /// # Errors
    /// When the elements are not floating-point.
    pub fn softplus(&self) -> Result<Tensor> {
        self.maximum(&self.scalar_like(0.0))? + self.abs()?.neg()?.exp()?.log1p()?
    }

    /// The sum over all replicas of a program that runs on several devices; the identity on one.
    ///
    /// # Errors
    /// When the elements are `bool`.
    pub fn all_reduce(&self) -> Result<Tensor> {
        self.graph.apply(Op::AllReduce, &[self])
    }
}

macro_rules! operator {
    ($($trait:ident :: $method:ident;)*) => {$(
        impl std::ops::$trait<&Tensor> for &Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$method(self, other)
            }
        }
        impl std::ops::$trait<Tensor> for &Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: Tensor) -> Result<Tensor> {
                Tensor::$method(self, &other)
            }
        }
        impl std::ops::$trait<&Tensor> for Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$method(&self, other)
            }
        }
        impl std::ops::$trait<Tensor> for Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: Tensor) -> Result<Tensor> {
                Tensor::$method(&self, &other)
            }
        }
        impl std::ops::$trait<f64> for &Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: f64) -> Result<Tensor> {
                Tensor::$method(self, &self.scalar_like(other))
            }
        }
        impl std::ops::$trait<f64> for Tensor {
            type Output = Result<Tensor>;
            fn $method(self, other: f64) -> Result<Tensor> {
                std::ops::$trait::$method(&self, other)
            }
        }
    )*};
}

operator! { Add::add; Sub::sub; Mul::mul; Div::div; }

macro_rules! operator_of_number {
    ($($trait:ident :: $method:ident;)*) => {$(
        impl std::ops::$trait<&Tensor> for f64 {
            type Output = Result<Tensor>;
            fn $method(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$method(&other.scalar_like(self), other)
            }
        }
        impl std::ops::$trait<Tensor> for f64 {
            type Output = Result<Tensor>;
            fn $method(self, other: Tensor) -> Result<Tensor> {
                std::ops::$trait::$method(self, &other)
            }
        }
    )*};
}

operator_of_number! { Add::add; Sub::sub; Mul::mul; Div::div; }

impl std::ops::Neg for &Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(self)
    }
}

impl std::ops::Neg for Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(&self)
    }
}
