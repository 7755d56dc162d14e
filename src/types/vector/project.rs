//! Fewer dimensions (`REDUCE`): a fixed matrix of signs (Hadamard's) that keeps distances roughly as they are. Never
//! knows what a vector stands for.

/// A matrix that vectors are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    /// Components of what goes in.
    pub(super) input: usize,
    /// The matrix, row by row, if it is another than [`sign`] gives: it came with data of another server.
    pub(super) matrix: Option<Box<[f32]>>,
}

/// Entry of the matrix before it is scaled.
fn sign(row: usize, column: usize) -> f32 {
    if (row & column).count_ones() & 1 == 0 { 1.0 } else { -1.0 }
}

/// What the entries are scaled with.
fn scale(input: usize) -> f32 {
    (1.0 / (input as f64).sqrt()) as f32
}

impl Projection {
    /// For vectors of `input` components.
    pub(super) fn new(input: usize) -> Self {
        Projection { input, matrix: None }
    }

    /// With this matrix of `output` rows.
    pub(super) fn with_matrix(input: usize, output: usize, matrix: Vec<f32>) -> Self {
        let ours = Projection::new(input);
        let known = ours.rows(output).eq(matrix.iter().copied());
        Projection { matrix: (!known).then(|| matrix.into_boxed_slice()), ..ours }
    }

    /// The entries of the matrix, row by row.
    pub(super) fn rows(&self, output: usize) -> impl Iterator<Item = f32> + '_ {
        let scale = scale(self.input);
        (0..output * self.input).map(move |at| match &self.matrix {
            Some(matrix) => matrix[at],
            None => sign(at / self.input, at % self.input) * scale,
        })
    }

    /// A vector of [`Projection::input`] components in `output` components.
    pub(super) fn apply(&self, vector: &[f32], output: usize) -> Vec<f32> {
        assert_eq!(vector.len(), self.input, "the caller checks");
        let scale = scale(self.input);
        let row = |row: usize| match &self.matrix {
            Some(matrix) => {
                let entries = &matrix[row * self.input..];
                vector.iter().zip(entries).fold(0.0, |sum, (x, entry)| sum + entry * x)
            }
            None => vector.iter().enumerate().fold(0.0, |sum, (column, x)| sum + sign(row, column) * scale * x),
        };
        (0..output).map(row).collect()
    }

    /// Bytes of a matrix that is kept.
    pub(super) fn heap_bytes(&self) -> usize {
        self.matrix.as_ref().map_or(0, |matrix| size_of_val(&**matrix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_matrix_is_not_kept() {
        let ours = Projection::new(5);
        let matrix: Vec<f32> = ours.rows(3).collect();
        assert_eq!(Projection::with_matrix(5, 3, matrix.clone()), ours);
        let mut other = matrix;
        other[7] = 0.25;
        let kept = Projection::with_matrix(5, 3, other.clone());
        assert_eq!(kept.rows(3).collect::<Vec<_>>(), other);
        let vector = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_ne!(kept.apply(&vector, 3), ours.apply(&vector, 3));
    }

    #[test]
    fn directions_stay_apart() {
        let projection = Projection::new(64);
        let a: Vec<f32> = (0..64).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = a.iter().map(|x| -x).collect();
        let (a, b) = (projection.apply(&a, 16), projection.apply(&b, 16));
        assert!(a.iter().zip(&b).all(|(a, b)| *a == -*b) && a.iter().any(|x| *x != 0.0));
    }
}
