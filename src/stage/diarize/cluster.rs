//! Divides directions into voices: more groups than there are people (k-means on the sphere, begun with
//! directions that lie far apart), then groups that point the same way are put together.
//!
//! All directions are taken from the mean of the visit's: the room and the microphone are in every one of them.

/// Groups before any are put together.
const MOST: usize = 6;
/// Directions for each group, at least.
const LEAST: usize = 3;
const ROUNDS: usize = 8;

/// The middle of each voice.
#[derive(Debug, Clone, Default)]
pub(super) struct Centres {
    mean: Vec<f32>,
    /// Unit vectors, and the voice that each group is of.
    groups: Vec<(Vec<f32>, usize)>,
    voices: usize,
}

impl Centres {
    /// How many voices there are.
    pub(super) fn len(&self) -> usize {
        self.voices
    }

    /// The voice that a direction is most like.
    pub(super) fn nearest(&self, direction: &[f32]) -> usize {
        let from_mean = unit(difference(direction, &self.mean));
        nearest(&self.groups.iter().map(|g| g.0.as_slice()).collect::<Vec<_>>(), &from_mean)
            .and_then(|group| self.groups.get(group))
            .map_or(0, |group| group.1)
    }
}

/// Divides directions of one length; groups with a cosine of at least `same` are one voice. Returns the voice of each.
pub(super) fn divide(directions: Vec<&[f32]>, same: f32) -> (Centres, Vec<usize>) {
    let Some(first) = directions.first() else { return (Centres::default(), Vec::new()) };
    let mut mean = vec![0.0; first.len()];
    for direction in &directions {
        add(&mut mean, direction);
    }
    mean.iter_mut().for_each(|m| *m /= directions.len() as f32);
    let away: Vec<Vec<f32>> = directions.iter().map(|d| difference(d, &mean)).collect();
    let loudest =
        (0..away.len()).max_by(|a, b| dot(&away[*a], &away[*a]).total_cmp(&dot(&away[*b], &away[*b])));
    let points: Vec<Vec<f32>> = away.into_iter().map(unit).collect();

    let wanted = MOST.min((points.len() / LEAST).max(1));
    let mut centres: Vec<Vec<f32>> = loudest.map(|n| points[n].clone()).into_iter().collect();
    while centres.len() < wanted {
        let nearness = |p: &Vec<f32>| centres.iter().map(|c| dot(c, p)).fold(f32::MIN, f32::max);
        let Some(far) = points.iter().min_by(|a, b| nearness(a).total_cmp(&nearness(b))) else { break };
        centres.push(far.clone());
    }
    let mut of = vec![0; points.len()];
    for _ in 0..ROUNDS {
        of = points.iter().map(|p| nearest(&centres, p).unwrap_or_default()).collect();
        let mut sums = vec![vec![0.0; mean.len()]; centres.len()];
        for (point, group) in points.iter().zip(&of) {
            add(&mut sums[*group], point);
        }
        for (centre, sum) in centres.iter_mut().zip(sums) {
            if sum.iter().any(|x| *x != 0.0) {
                *centre = unit(sum);
            }
        }
    }
    let voice = joined(&points, &of, centres.len(), same);
    let voices = voice.iter().max().map_or(0, |most| most + 1);
    let groups = centres.into_iter().zip(voice.iter().copied()).collect();
    let of = of.into_iter().map(|group| voice[group]).collect();
    (Centres { mean, groups, voices }, of)
}

/// The voice of each group, numbered from 0 without gaps: the two nearest are put together for as long as they are near.
fn joined(points: &[Vec<f32>], of: &[usize], groups: usize, same: f32) -> Vec<usize> {
    let width = points.first().map_or(0, Vec::len);
    let mut sums = vec![vec![0.0; width]; groups];
    for (point, group) in points.iter().zip(of) {
        add(&mut sums[*group], point);
    }
    let mut voices: Vec<(Vec<usize>, Vec<f32>)> =
        sums.into_iter().enumerate().map(|(n, sum)| (vec![n], sum)).collect();
    loop {
        let mut best = (same, None);
        for (a, one) in voices.iter().enumerate() {
            for (b, other) in voices.iter().enumerate().skip(a + 1) {
                let near = dot(&unit(one.1.clone()), &unit(other.1.clone()));
                if near >= best.0 {
                    best = (near, Some((a, b)));
                }
            }
        }
        let Some((a, b)) = best.1 else { break };
        let (members, sum) = voices.swap_remove(b);
        voices[a].0.extend(members);
        add(&mut voices[a].1, &sum);
    }
    let mut voice = vec![0; groups];
    for (n, (members, _)) in voices.iter().enumerate() {
        members.iter().for_each(|group| voice[*group] = n);
    }
    voice
}

fn nearest(centres: &[impl AsRef<[f32]>], point: &[f32]) -> Option<usize> {
    let near = |n: &usize| dot(centres[*n].as_ref(), point);
    (0..centres.len()).max_by(|a, b| near(a).total_cmp(&near(b)))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f32], other: &[f32]) {
    sum.iter_mut().zip(other).for_each(|(s, o)| *s += o);
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn unit(mut v: Vec<f32>) -> Vec<f32> {
    let length = dot(&v, &v).sqrt().max(1e-6);
    v.iter_mut().for_each(|x| *x /= length);
    v
}
