//! Scoring does not allocate: all memory is in the workspace, whose size is known beforehand.
// A global allocator needs unsafe code.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use fooling_engine::simd::Instructions;
use fooling_engine::{Attribute, ElementType, Graph, Input, Layers, Network, Node, Tensor};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn constant(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    Tensor::of_floats(shape, (0..count).map(|i| ((i * 37 + 11) % 64) as f32 / 64.0 - 0.5).collect())
}

/// Convolutions, pooling, normalisation, an addition, a concatenation, dense layers.
fn graph() -> Graph {
    let pads = Attribute::Ints(vec![1; 4]);
    let constants = [("w1", &[20, 3, 3, 3][..]), ("w2", &[20, 1, 3, 3]), ("w3", &[5, 20, 1, 1]), ("w4", &[1600, 7]), ("w5", &[7, 4])];
    Graph {
        opset: 13,
        inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: Vec::new() }],
        outputs: vec!["y".into()],
        constants: constants.into_iter().map(|(name, shape)| (name.into(), constant(shape))).collect::<BTreeMap<_, _>>(),
        nodes: vec![
            Node::new("Conv", ["x", "w1"], "a").with("pads", pads.clone()),
            Node::new("Relu", ["a"], "b"),
            Node::new("Conv", ["b", "w2"], "c").with("pads", pads).with("group", Attribute::Int(20)),
            Node::new("Add", ["b", "c"], "d"),
            Node::new("LRN", ["d"], "e").with("size", Attribute::Int(5)),
            Node::new("MaxPool", ["e"], "f").with("kernel_shape", Attribute::Ints(vec![2; 2])).with("strides", Attribute::Ints(vec![2; 2])),
            Node::new("Conv", ["f", "w3"], "g"),
            Node::new("Concat", ["f", "g"], "h").with("axis", Attribute::Int(1)),
            Node::new("Flatten", ["h"], "i"),
            Node::new("MatMul", ["i", "w4"], "j"),
            Node::new("Clip", ["j"], "k").with("min", Attribute::Float(-50.0)).with("max", Attribute::Float(50.0)),
            Node::new("MatMul", ["k", "w5"], "l"),
            Node::new("Softmax", ["l"], "y"),
        ],
    }
}

#[test]
fn scoring_allocates_nothing() {
    let layers = Layers::new(graph(), "y", &[1, 3, 16, 16]).unwrap();
    let network = Network::new(&layers, 3, Instructions::widest()).unwrap();
    let mut workspace = network.workspace();
    assert_eq!(workspace.len(), network.workspace_len());
    let pictures: Vec<f32> = (0..3 * network.inputs()).map(|i| ((i * 29) % 101) as f32 / 101.0).collect();
    let mut scores = vec![0.0; 3 * network.outputs()];
    let before = CALLS.with(Cell::get);
    network.run(&pictures, 3, &mut workspace);
    scores.chunks_exact_mut(network.outputs()).enumerate().for_each(|(row, scores)| network.output(row, &workspace, scores));
    assert_eq!(CALLS.with(Cell::get), before);
    assert!(scores.iter().all(|score| score.is_finite()) && scores[0] != scores[1], "{scores:?}");
}
