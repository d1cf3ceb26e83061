/** Points on the arms of a spiral: easy to draw, and no straight line tells the arms apart. */
import * as tf from '@tensorflow/tfjs';

export interface Points {
  /** [points * arms, 2] */
  readonly x: tf.Tensor2D;
  /** One-hot [points * arms, arms] */
  readonly y: tf.Tensor;
  /** The arm of each point, int32. */
  readonly labels: tf.Tensor1D;
}

export function spirals(points: number, arms: number): Points {
  const xy: number[] = [];
  const arm: number[] = [];
  let state = 1;
  const noise = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647 - 0.5;
  };
  for (let a = 0; a < arms; a++) {
    for (let i = 0; i < points; i++) {
      const radius = (i + 1) / points;
      const angle = 4 * radius + (2 * Math.PI * a) / arms + 0.2 * noise();
      xy.push(radius * Math.cos(angle), radius * Math.sin(angle));
      arm.push(a);
    }
  }
  const labels = tf.tensor1d(arm, 'int32');
  return {x: tf.tensor2d(xy, [arms * points, 2]), y: tf.oneHot(labels, arms), labels};
}
